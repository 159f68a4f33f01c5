"""One generation: what was asked, and how far it is at a given moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_apimart.sandbox.models import Modality

Stage = Literal["submitted", "pending", "processing", "completed", "failed"]

PENDING_SHARE = 0.1
LONGEST_PENDING = 5.0


@dataclass(frozen=True)
class Generation:
    """
    An accepted job; how it ends is settled from the start, unless somebody interferes.

    :param created: when it was accepted, in seconds since 1970
    :param seconds: how long it runs; infinite for one that never ends
    :param failure: the reason it will end with, or ``None`` if it will succeed
    :param reserved: US dollars taken when it was accepted
    :param price: US dollars it costs if it succeeds
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

    @property
    def completed(self) -> float:
        """When it ends."""
        return self.created + self.seconds

    def finished(self, now: float) -> bool:
        """Tell whether it has ended."""
        return now >= self.completed

    def stage(self, now: float) -> Stage:
        """Tell where it stands."""
        if self.finished(now):
            return "failed" if self.failure else "completed"
        waiting = min(PENDING_SHARE * self.seconds, LONGEST_PENDING)
        return "pending" if now - self.created < waiting else "processing"

    def progress(self, now: float) -> int:
        """Return how many percent are done."""
        if self.finished(now):
            return 100
        return min(99, int(100 * (now - self.created) / self.seconds))

    def charge(self, now: float) -> Decimal:
        """Return what it costs as of now: the reservation, then the price, or nothing once it failed."""
        if not self.finished(now):
            return self.reserved
        return Decimal(0) if self.failure else self.price


@dataclass(frozen=True)
class GenerationView:
    """
    A generation as it stood when somebody looked.

    :param status: ``pending``, ``processing``, ``completed`` or ``failed``
    :param cost: US dollars charged as of then
    :param refunded: whether everything was given back because it failed
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
