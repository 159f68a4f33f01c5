"""A generation: its request, and its stage, progress and charge at a given time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.models import Modality

Stage = Literal["submitted", "pending", "processing", "completed", "failed"]

PENDING_SHARE = 0.1
LONGEST_PENDING = 5.0


@dataclass(frozen=True)
class Generation:
    """
    An accepted generation; its outcome is fixed at the start, unless a control call changes it.

    :param created: time of acceptance, in seconds since 1970
    :param seconds: run time; infinite for one that never ends
    :param failure: the reason it fails with, or ``None`` if it succeeds
    :param reserved: US dollars reserved when it was accepted
    :param price: US dollars charged if it succeeds
    :param outputs: number of outputs it delivers
    """

    generation_id: str
    modality: Modality
    model: str
    payload: Mapping[str, Any]
    api_key: str
    idempotency_key: str | None
    request_id: str
    created: float
    seconds: float
    failure: str | None
    reserved: Decimal
    price: Decimal
    outputs: int = 1

    @property
    def completed(self) -> float:
        """The time it ends."""
        return self.created + self.seconds

    def finished(self, now: float) -> bool:
        """Return whether it has ended."""
        return now >= self.completed

    def stage(self, now: float) -> Stage:
        """Return its stage."""
        if self.finished(now):
            return "failed" if self.failure else "completed"
        waiting = min(PENDING_SHARE * self.seconds, LONGEST_PENDING)
        return "pending" if now - self.created < waiting else "processing"

    def progress(self, now: float) -> int:
        """Return its progress in percent."""
        if self.finished(now):
            return 100
        return min(99, int(100 * (now - self.created) / self.seconds))

    def charge(self, now: float) -> Decimal:
        """Return its charge: the reservation while it runs, then the price, or 0 once it failed."""
        if not self.finished(now):
            return self.reserved
        return Decimal(0) if self.failure else self.price


@dataclass(frozen=True)
class GenerationView:
    """
    The state of a generation at the time of the call.

    :param status: ``pending``, ``processing``, ``completed`` or ``failed``
    :param cost: US dollars charged so far
    :param refunded: whether the charge was refunded because it failed
    :param urls: public URLs of its outputs, once completed
    """

    generation_id: str
    modality: Modality
    model: str
    payload: Mapping[str, Any]
    api_key: str
    idempotency_key: str | None
    status: Stage
    progress: int
    cost: Decimal
    refunded: bool
    failure: str | None
    created: float
    completed: float | None
    urls: tuple[str, ...]
