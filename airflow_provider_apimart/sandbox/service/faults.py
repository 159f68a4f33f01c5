"""Fault injection: which requests are hit, and by which fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Literal

from airflow_provider_apimart.sandbox.service.replies import ERRORS

When = Literal["before", "after"]

ROUTES = ("submit", "status", "upload", "balance", "models", "pricing", "file", "any")

CONNECTION_FAULTS: Mapping[str, When] = MappingProxyType(
    {
        "lost_answer": "after",
        "no_answer": "after",
        "truncated": "after",
        "reset": "after",
        "garbage": "after",
        "garbage_body": "after",
        "oversized": "after",
        "endless": "after",
        "redirect": "before",
        "closed_before_reading": "before",
        "delayed": "after",
    }
)
"""Faults of the connection, with their default moment."""

UNKNOWN_OUTCOMES = frozenset(
    {
        "server_error",
        "bad_gateway",
        "unavailable",
        "gateway_timeout",
        "request_timeout",
        "html_error",
        "idempotency_result_indeterminate",
    }
)
"""Errors whose default moment is after acceptance: the client can't know the outcome."""

KINDS = (*CONNECTION_FAULTS, *ERRORS)


@dataclass(frozen=True)
class Fault:
    """
    A fault to inject.

    :param kind: a fault of :data:`.CONNECTION_FAULTS`, or a documented error of :data:`.replies.ERRORS`
    :param on: the route it hits: one of :data:`.ROUTES`
    :param times: how many requests it hits; by default one, or unlimited with a ``share``
    :param share: the share of requests it hits, 0 to 1, random by the sandbox's seed
    :param skip: how many requests pass first
    :param when: ``before`` the service processes the request, or ``after`` it, including billing; each kind has
        its own default
    :param seconds: duration of ``delayed``, ``no_answer`` and ``endless``
    :param retry_after: value of ``Retry-After`` in seconds, where the error has one
    :param retry_after_date: format ``Retry-After`` as a date
    :param status: HTTP status, instead of the error's own
    :param message: message, instead of the error's own
    :param location: target of ``redirect``; by default ``/elsewhere`` on another name of this host
    :param size: size of the body of ``oversized`` in bytes
    """

    kind: str
    on: str = "submit"
    times: int | None = None
    share: float | None = None
    skip: int = 0
    when: When | None = None
    seconds: float = 30.0
    retry_after: float = 1.0
    retry_after_date: bool = False
    status: int | None = None
    message: str | None = None
    location: str | None = None
    size: int = 40 * 1024 * 1024

    def __post_init__(self) -> None:
        """Validate the fault; raises ``ValueError``."""
        if self.kind not in KINDS:
            raise ValueError(f"Unknown fault {self.kind!r}; known are {', '.join(KINDS)}")
        if self.on not in ROUTES:
            raise ValueError(f"Unknown route {self.on!r}; known are {', '.join(ROUTES)}")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"A share must be between 0 and 1: {self.share}")

    @property
    def moment(self) -> When:
        """The moment it applies: before or after the service processes the request."""
        if self.when:
            return self.when
        return CONNECTION_FAULTS.get(self.kind, "after" if self.kind in UNKNOWN_OUTCOMES else "before")

    @property
    def limit(self) -> float:
        """The maximum number of requests it hits."""
        if self.times is not None:
            return self.times
        return 1 if self.share is None else float("inf")


@dataclass
class _Injected:
    fault: Fault
    skipped: int = 0
    hits: int = 0

    def hit(self, random: Random) -> bool:
        if self.hits >= self.fault.limit:
            return False
        if self.skipped < self.fault.skip:
            self.skipped += 1
            return False
        if self.fault.share is not None and random.random() >= self.fault.share:
            return False
        self.hits += 1
        return True


class FaultPlan:
    """
    Injected faults; the first that matches a request is applied.

    :param seed: seed of random shares
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.clear()

    def inject(self, *faults: Fault) -> None:
        """Add faults."""
        self._injected += map(_Injected, faults)

    def clear(self) -> None:
        """Remove all faults and restart the random numbers."""
        self._injected: list[_Injected] = []
        self._random = Random(self._seed)

    def pick(self, route: str) -> Fault | None:
        """Return the fault that hits this request, if any."""
        for injected in self._injected:
            if injected.fault.on in (route, "any") and injected.hit(self._random):
                return injected.fault
        return None

    def __iter__(self) -> Iterator[tuple[Fault, int]]:
        """Iterate over all faults, with the number of requests each has hit."""
        return ((injected.fault, injected.hits) for injected in self._injected)


def parse_fault(text: str) -> Fault:
    """
    Parse a fault of the command line.

    :param text: ``KIND:SHARE``, ``KIND@ROUTE:SHARE`` or either with ``:before`` or ``:after`` behind it
    """
    target, _, rest = text.partition(":")
    kind, _, route = target.partition("@")
    share, _, when = rest.partition(":")
    if when not in ("", "before", "after"):
        raise ValueError(f"A fault applies 'before' or 'after' the request is processed, not {when!r}")
    moments: Mapping[str, When] = {"before": "before", "after": "after"}
    return Fault(kind, on=route or "submit", share=float(share or 1), when=moments.get(when))
