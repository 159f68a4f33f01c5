"""Budget of a batch: whether the next item is submitted, waits, or ends the batch under ``max_cost``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.quotes.account_price_ratio import AccountRatio
from airflow_provider_apimart.quotes.quote import Quote


class Admission(Enum):
    """Whether an item may be submitted."""

    GO = auto()
    WAIT = auto()
    """Not before something that is in flight has ended."""
    STOP = auto()
    """Nothing further may be submitted."""


@dataclass(frozen=True, slots=True)
class ItemPrice:
    """
    What is known of an item's price before it is paid.

    :param kind: What items have in common that should cost the same; see :func:`price_kind`.
    """

    kind: Hashable
    model: str
    quote: Quote


class Budget:
    """
    Keeps a batch within ``max_cost``.

    What is in flight is reserved with its quote, times what the account pays of the public prices, and never with less
    than its kind has cost before. So the limit holds wherever there are quotes. A discount counts only for an
    item that goes alone: one cheap item doesn't prove that the others are cheap, too.

    Nothing bounds the price of an item without a quote. Only one such item is in flight at a time, so that the limit is
    exceeded by no more than its price.

    :param limit: US dollars, ``None`` for no limit.
    """

    def __init__(self, limit: Decimal | None) -> None:
        self.limit = limit
        self._paid = Decimal(0)
        self._unpriced = 0
        self._has_unknown_cost = False
        self._ratio = AccountRatio()
        self._seen: dict[Hashable, Decimal] = {}
        self._in_flight: dict[str, ItemPrice] = {}

    @property
    def spent(self) -> Decimal:
        """US dollars that were paid. A generation of unknown cost counts with the highest cost seen."""
        return self._paid + self._unpriced * self._highest_price

    @property
    def reserved(self) -> Decimal:
        """US dollars that what is in flight will cost."""
        return sum(map(self._dollars, self._in_flight.values()), Decimal(0))

    @property
    def is_blind(self) -> bool:
        """Whether there are neither quotes nor costs, so that the limit can't be kept."""
        return self._has_unknown_cost and not self._seen

    def admits(self, price: ItemPrice) -> Admission:
        """Return whether an item of some price may be submitted now."""
        if self.limit is None:
            return Admission.GO
        if self.spent >= self.limit:
            return Admission.STOP
        if price.quote.cost is None:
            if self.is_blind:
                return Admission.STOP
            if any(other.quote.cost is None for other in self._in_flight.values()):
                return Admission.WAIT
        if self.spent + (self.reserved + self._dollars(price)) * self._margin <= self.limit:
            return Admission.GO
        if not self._in_flight and self.spent + self._expected(price) <= self.limit:
            return Admission.GO
        # What is in flight may fail, or cost less than is reserved.
        return Admission.WAIT if self._in_flight else Admission.STOP

    def reserve(self, item_id: str, price: ItemPrice) -> None:
        """Note that an item may have been submitted."""
        self._in_flight[item_id] = price

    def release(self, item_id: str) -> None:
        """Note that an item wasn't charged."""
        self._in_flight.pop(item_id, None)

    def settle(self, item_id: str, price: ItemPrice, cost: Decimal | None, *, is_complete: bool = True) -> None:
        """
        Note what an item has cost.

        :param cost: US dollars. Where APIMart didn't say (``None``), or said 0 or less, the reserved price counts.
        :param is_complete: Whether all outputs were delivered; fewer outputs cost less.
        """
        self._in_flight.pop(item_id, None)
        # Nothing is free: a cost of 0 or less would let a limit never be reached.
        if cost is None or cost <= 0:
            self._has_unknown_cost = self._has_unknown_cost or price.quote.cost is None
            self.spend(None, price)
            return
        self._paid += cost
        self._seen[price.kind] = max(cost, self._seen.get(price.kind, cost))
        self._ratio.learn(price.model, price.quote, cost, is_complete=is_complete)

    def spend(self, cost: Decimal | None, price: ItemPrice | None = None) -> None:
        """
        Note what was paid, or may have been paid, for what isn't in flight.

        :param cost: US dollars; ``None`` where that isn't known.
        :param price: Its price, which counts where the cost isn't known. Without one, the highest price counts.
        """
        if cost is not None and cost > 0:
            self._paid += cost
        elif price is not None and (price.quote.cost is not None or price.kind in self._seen):
            self._paid += self._dollars(price)
        else:
            self._unpriced += 1

    @property
    def _margin(self) -> int:
        # An account may pay more than the public prices. Until the first cost is known, half of the limit is kept back.
        return 1 if self._ratio.is_known or not self._in_flight else 2

    @property
    def _highest_price(self) -> Decimal:
        return max(self._seen.values(), default=Decimal(0))

    def _dollars(self, price: ItemPrice) -> Decimal:
        if price.quote.cost is None:
            return self._seen.get(price.kind, self._highest_price)
        return max(price.quote.cost, self._expected(price))

    def _expected(self, price: ItemPrice) -> Decimal:
        if price.quote.cost is None:
            return self._dollars(price)
        return max(price.quote.cost * self._ratio.of(price.model), self._seen.get(price.kind, Decimal(0)))


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
