"""Ratio of what an account pays to the public prices, learnt from what generations cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from airflow_provider_apimart.quotes.quote import Quote

_PUBLIC = Decimal(1)


@dataclass
class AccountRatio:
    """
    What an account pays for a model, as a share of the public prices.

    The highest ratio that was seen counts. A model that wasn't seen yet has the highest one of all models, and at least
    the public price: only a model's own costs show a discount.
    """

    _by_model: dict[str, Decimal] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether anything was learnt."""
        return bool(self._by_model)

    def learn(self, model: str, quote: Quote, cost: Decimal, *, is_complete: bool) -> None:
        """
        Learn from a generation.

        :param quote: Its quote.
        :param cost: US dollars that it has cost.
        :param is_complete: Whether all outputs were delivered; fewer outputs cost less.
        """
        if quote.cost is None:
            return
        ratio = cost / quote.cost
        if ratio > _PUBLIC or (quote.is_exact and is_complete):
            self._by_model[model] = max(ratio, self._by_model.get(model, ratio))

    def of(self, model: str) -> Decimal:
        """Return the ratio of a model."""
        if model in self._by_model:
            return self._by_model[model]
        return max([_PUBLIC, *self._by_model.values()])
