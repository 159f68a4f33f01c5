"""What a batch may still spend: one decision without I/O, before every submit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from airflow_provider_apimart.durable.identity import PaidRequest


class Admission(Enum):
    """Whether an item may be submitted."""

    GO = auto()
    WAIT = auto()
    """Not before something that is in flight has ended."""
    STOP = auto()
    """Nothing further may be submitted."""


class Budget:
    """
    Keeps a batch within ``max_cost``.

    What is in flight is reserved with the best known price: what the same kind of item has cost at most. A kind whose
    price isn't known counts as the most expensive one seen, and only one such item is in flight at a time, so that
    the limit is exceeded by no more than the price of one item.

    :param limit: US dollars, ``None`` for no limit.
    """

    def __init__(self, limit: Decimal | None) -> None:
        self.limit = limit
        self.spent = Decimal(0)
        self._prices: dict[Hashable, Decimal] = {}
        self._in_flight: dict[str, tuple[Hashable, Decimal]] = {}
        self._untold = False

    def admits(self, kind: Hashable) -> Admission:
        """Return whether an item of some kind may be submitted now."""
        if self.limit is None:
            return Admission.GO
        if self.is_blind or self.spent >= self.limit:
            return Admission.STOP
        if kind not in self._prices and any(other not in self._prices for other, _ in self._in_flight.values()):
            return Admission.WAIT
        if not self._prices and self._in_flight:
            return Admission.WAIT
        if self.spent + self.reserved + self._price(kind) <= self.limit:
            return Admission.GO
        # What is in flight may fail, which costs nothing.
        return Admission.WAIT if self._in_flight else Admission.STOP

    @property
    def reserved(self) -> Decimal:
        """US dollars that what is in flight will cost."""
        return sum((price for _, price in self._in_flight.values()), Decimal(0))

    def reserve(self, item_id: str, kind: Hashable) -> None:
        """Note that an item may have been submitted."""
        self._in_flight[item_id] = (kind, self._price(kind))

    def release(self, item_id: str) -> None:
        """Note that an item wasn't charged."""
        self._in_flight.pop(item_id, None)

    def settle(self, item_id: str, kind: Hashable, cost: Decimal | None) -> None:
        """
        Note what an item has cost.

        :param cost: US dollars. Where APIMart didn't say (``None``), or said 0 or less, the reserved price counts.
        """
        reserved = self._in_flight.pop(item_id, (kind, self._price(kind)))[1]
        # Nothing is free: a cost of 0 or less would let a limit never be reached.
        if cost is None or cost <= 0:
            self._untold = True
            self.spent += reserved
            return
        self.spent += cost
        self._prices[kind] = max(cost, self._prices.get(kind, cost))

    def spend(self, cost: Decimal | None) -> None:
        """
        Note what was spent before, on what isn't asked for any more.

        :param cost: US dollars; ``None`` where that isn't known, which counts as the highest price.
        """
        self.spent += self._highest_price if cost is None or cost <= 0 else cost

    @property
    def is_blind(self) -> bool:
        """Whether APIMart tells no prices, so that the limit can't be kept."""
        return self._untold and not self._prices

    @property
    def _highest_price(self) -> Decimal:
        return max(self._prices.values(), default=Decimal(0))

    def _price(self, kind: Hashable) -> Decimal:
        return self._prices.get(kind, self._highest_price)


# What a request says in these doesn't change its price.
_PRICELESS = frozenset({"prompt", "negative_prompt", "seed"})


def price_kind(request: PaidRequest) -> Hashable:
    """Return what requests have in common that cost the same: all but the prompt and which references they have."""
    settings = {name: _counted(value) for name, value in request.payload.items() if name not in _PRICELESS}
    written = json.dumps([request.modality.value, settings], sort_keys=True)
    return hashlib.sha256(written.encode()).digest()[:8]


def _counted(value: Any) -> Any:
    """Return a field with every URL and file replaced: how many there are counts, not which."""
    match value:
        case str() if "://" in value or value.startswith("sha256:"):
            return "reference"
        case Mapping():
            return {name: _counted(item) for name, item in value.items()}
        case list():
            return [_counted(item) for item in value]
    return value
