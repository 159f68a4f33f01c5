"""Faults on request: which request is hit, and by what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Literal

from airflow_provider_apimart.sandbox.replies import ERRORS

When = Literal["before", "after"]

ROUTES = ("submit", "status", "upload", "balance", "models", "file", "any")

DAMAGES: Mapping[str, When] = MappingProxyType(
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
"""Faults of the connection, with the moment at which they strike unless told otherwise."""

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
"""Errors that strike after the job was accepted unless told otherwise: the client can't know."""

KINDS = (*DAMAGES, *ERRORS)


@dataclass(frozen=True)
class Fault:
    """
    Something that goes wrong on request.

    :param kind: a connection's fault from :data:`.DAMAGES`, or a documented error from :data:`.replies.ERRORS`
    :param on: the route it hits: one of :data:`.ROUTES`
    :param times: how many requests it hits; by default one, or without end if there is a ``share``
    :param share: the share of requests it hits, 0 to 1, drawn from the sandbox's seed
    :param skip: how many requests to let pass first
    :param when: ``before`` the service did anything, or ``after`` it did everything, billing included; each kind
        has its own default
    :param seconds: how long ``delayed``, ``no_answer`` and ``endless`` last
    :param retry_after: what ``Retry-After`` says, in seconds, where the error has one
    :param retry_after_date: write ``Retry-After`` as a date
    :param status: another HTTP status than the error's own
    :param message: other words than the error's own
    :param location: where ``redirect`` points; by default to ``/elsewhere`` on another name of this host
    :param size: how many bytes ``oversized`` sends
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
        """Refuse names nobody knows."""
        if self.kind not in KINDS:
            raise ValueError(f"Unknown fault {self.kind!r}; known are {', '.join(KINDS)}")
        if self.on not in ROUTES:
            raise ValueError(f"Unknown route {self.on!r}; known are {', '.join(ROUTES)}")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError(f"A share lies between 0 and 1: {self.share}")

    @property
    def strikes(self) -> When:
        """When it strikes."""
        if self.when:
            return self.when
        return DAMAGES.get(self.kind, "after" if self.kind in UNKNOWN_OUTCOMES else "before")

    @property
    def limit(self) -> float:
        """How many requests it hits at most."""
        if self.times is not None:
            return self.times
        return 1 if self.share is None else float("inf")


@dataclass
class _Armed:
    fault: Fault
    skipped: int = 0
    struck: int = 0

    def strike(self, dice: Random) -> bool:
        if self.struck >= self.fault.limit:
            return False
        if self.skipped < self.fault.skip:
            self.skipped += 1
            return False
        if self.fault.share is not None and dice.random() >= self.fault.share:
            return False
        self.struck += 1
        return True


class FaultPlan:
    """
    The faults that wait for their requests; the first that fits a request takes it.

    :param seed: what random shares are drawn from
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.clear()

    def inject(self, *faults: Fault) -> None:
        """Add faults."""
        self._armed += map(_Armed, faults)

    def clear(self) -> None:
        """Forget all faults, and start the dice anew."""
        self._armed: list[_Armed] = []
        self._dice = Random(self._seed)

    def pick(self, route: str) -> Fault | None:
        """Return the fault that hits this request, if any."""
        for armed in self._armed:
            if armed.fault.on in (route, "any") and armed.strike(self._dice):
                return armed.fault
        return None

    def __iter__(self) -> Iterator[tuple[Fault, int]]:
        """Go through all faults, with how often each struck."""
        return ((armed.fault, armed.struck) for armed in self._armed)


def parse_fault(text: str) -> Fault:
    """
    Read a fault from the command line.

    :param text: ``KIND:SHARE``, ``KIND@ROUTE:SHARE`` or either with ``:before`` or ``:after`` behind it
    """
    target, _, rest = text.partition(":")
    kind, _, route = target.partition("@")
    share, _, when = rest.partition(":")
    if when not in ("", "before", "after"):
        raise ValueError(f"A fault strikes 'before' or 'after' the job is accepted, not {when!r}")
    moments: Mapping[str, When] = {"before": "before", "after": "after"}
    return Fault(kind, on=route or "submit", share=float(share or 1), when=moments.get(when))
