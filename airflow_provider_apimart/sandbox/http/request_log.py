"""Log of requests and of the statuses they got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class RequestView:
    """
    A request as it was received.

    :param route: a name of :data:`.faults.ROUTES`, ``elsewhere`` or ``other``
    :param headers: its headers, case-insensitive
    :param size: size of its body in bytes
    :param payload: its JSON body, if any
    :param status: the HTTP status of the reply; ``None`` without a reply
    :param fault: the fault that hit it
    :param time: time of arrival by the sandbox's clock
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


class RequestLog:
    """
    Requests in order of arrival, and counters of all requests.

    :param kept: how many requests are kept in full
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._requests: dict[int, RequestView] = {}
        self._number = 0
        self.by_route: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def requests(self) -> tuple[RequestView, ...]:
        """The requests kept, oldest first."""
        return tuple(self._requests.values())

    def open(self, request: RequestView) -> int:
        """Add a request; return its number."""
        self._number += 1
        self.by_route[request.route] += 1
        self._requests[self._number] = request
        if len(self._requests) > self._kept:
            del self._requests[next(iter(self._requests))]
        return self._number

    def note(self, number: int, **details: Any) -> None:
        """Update fields of a request."""
        if number in self._requests:
            self._requests[number] = replace(self._requests[number], **details)

    def close(self, number: int, status: int | None) -> None:
        """Record the status of the reply to a request."""
        self.note(number, status=status)
        if status is None or status >= 400:
            self.refused[str(status or "no reply")] += 1
