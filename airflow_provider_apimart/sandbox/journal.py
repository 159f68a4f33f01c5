"""The journal: every request the sandbox has seen, and how it was answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class RequestView:
    """
    One request as it was seen.

    :param route: ``submit``, ``status``, ``upload``, ``balance``, ``models``, ``file``, ``elsewhere`` or ``other``
    :param headers: all of its headers; look-ups ignore case
    :param size: bytes of its body
    :param payload: its JSON body, if it was one
    :param status: the HTTP status it got; ``None`` if it got none, or not yet
    :param fault: the fault that hit it
    :param time: when it came, by the sandbox's clock
    """

    method: str
    path: str
    route: str
    headers: Mapping[str, str]
    time: float
    size: int = 0
    payload: Any = None
    status: int | None = None
    fault: str | None = None


class Journal:
    """
    Requests in the order they came, and counts that are never cut.

    :param kept: how many requests are remembered in full
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._requests: dict[int, RequestView] = {}
        self._number = 0
        self.by_route: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def requests(self) -> tuple[RequestView, ...]:
        """The remembered requests, oldest first."""
        return tuple(self._requests.values())

    def open(self, request: RequestView) -> int:
        """Note that a request came; return its number."""
        self._number += 1
        self.by_route[request.route] += 1
        self._requests[self._number] = request
        if len(self._requests) > self._kept:
            del self._requests[next(iter(self._requests))]
        return self._number

    def note(self, number: int, **details: Any) -> None:
        """Add what became known about a request since."""
        if number in self._requests:
            self._requests[number] = replace(self._requests[number], **details)

    def close(self, number: int, status: int | None) -> None:
        """Note what a request was answered."""
        self.note(number, status=status)
        if status is None or status >= 400:
            self.refused[str(status or "no reply")] += 1
