"""Quotes: cost and certainty of a request, its limit, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.json_values import mapping, money, plain
from airflow_provider_apimart.exceptions import ApimartCostLimitError


class Certainty(StrEnum):
    """How far a quote can be relied on, at APIMart's public prices."""

    EXACT = "exact"
    """The request costs this much."""
    AT_MOST = "at_most"
    """The request costs this much or less."""
    NO_QUOTE = "no_quote"
    """The cost isn't known."""


_WEAKEST_LAST = tuple(Certainty)


def weakest(certainties: Iterable[Certainty]) -> Certainty:
    """Return the certainty of a sum: that of its least certain part."""
    return max(certainties, key=_WEAKEST_LAST.index, default=Certainty.EXACT)


@dataclass(frozen=True, slots=True)
class Quote:
    """
    What a request costs at APIMart's public prices.

    An account may pay less or more than those. APIMart bills what was delivered, so a generation that fails, or that
    delivers fewer outputs, costs less.

    :param cost: US dollars, ``None`` without a quote.
    :param reason: Why there is no quote, or why the cost may be lower.
    """

    cost: Decimal | None
    certainty: Certainty
    reason: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the request costs exactly this much."""
        return self.certainty is Certainty.EXACT

    def to_json(self) -> dict[str, Any]:
        """Return the quote as plain JSON: ``cost``, ``certainty``, ``reason``."""
        return {"cost": plain(self.cost), "certainty": self.certainty.value, "reason": self.reason}

    def __str__(self) -> str:
        """Return the quote as a clause, such as ``at most $0.40``."""
        if self.cost is None:
            return f"no quote: {self.reason}"
        return f"at most {written_dollars(self.cost)}" if not self.is_exact else written_dollars(self.cost)


def quote_from_json(value: object) -> Quote:
    """Return the quote that :meth:`Quote.to_json` wrote; anything else is no quote."""
    known = mapping(value)
    cost = money(known.get("cost"))
    if cost is None or cost <= 0 or known.get("certainty") not in (Certainty.EXACT, Certainty.AT_MOST):
        return no_quote(str(known.get("reason") or "it was sent without a quote"))
    return Quote(cost, Certainty(known["certainty"]), known.get("reason"))


def no_quote(reason: str) -> Quote:
    """Return that there is no quote, with the reason."""
    return Quote(None, Certainty.NO_QUOTE, reason)


def check_cost_limit(quote: Quote, max_cost: Decimal) -> None:
    """
    Check that a request may be submitted.

    :param max_cost: US dollars that it may cost.
    :raises ApimartCostLimitError: If it may cost more, or has no quote.
    """
    if quote.cost is None:
        raise ApimartCostLimitError(
            f"The request has no quote, so max_cost ({written_dollars(max_cost)}) can't be kept: {quote.reason}. "
            "Nothing was sent",
            advice="Name what the quote depends on, or remove max_cost",
        )
    if quote.cost > max_cost:
        raise ApimartCostLimitError(
            f"The request costs {quote}, more than max_cost ({written_dollars(max_cost)}). Nothing was sent",
            advice="Raise max_cost, or ask for less",
        )


@dataclass(frozen=True)
class ModelTotal:
    """
    Quotes of the requests of one model, added up.

    :param items: How many requests there are.
    :param cost: US dollars of all that have a quote.
    :param without_quote: How many have no quote.
    """

    items: int = 0
    cost: Decimal = Decimal(0)
    without_quote: int = 0

    def plus(self, quote: Quote) -> ModelTotal:
        """Return the total with one request more."""
        return ModelTotal(self.items + 1, self.cost + (quote.cost or 0), self.without_quote + (quote.cost is None))

    def to_json(self) -> dict[str, Any]:
        """Return the total as plain JSON."""
        return {"items": self.items, "cost": plain(self.cost), "without_quote": self.without_quote}


@dataclass(frozen=True)
class QuoteTotal:
    """
    Quotes of several requests, added up.

    :param certainty: That of the least certain one.
    :param by_model: The totals of each model.
    :param reasons: Why there is no quote, and for how many requests.
    """

    certainty: Certainty
    by_model: Mapping[str, ModelTotal]
    reasons: Counter[str]

    @property
    def items(self) -> int:
        """How many requests there are."""
        return sum(each.items for each in self.by_model.values())

    @property
    def cost(self) -> Decimal:
        """US dollars of all requests that have a quote."""
        return sum((each.cost for each in self.by_model.values()), Decimal(0))

    @property
    def without_quote(self) -> int:
        """How many requests have no quote."""
        return self.reasons.total()

    def to_json(self) -> dict[str, Any]:
        """Return the total as plain JSON."""
        return {
            "items": self.items,
            "cost": plain(self.cost),
            "certainty": self.certainty.value,
            "without_quote": self.without_quote,
            "by_model": {model: each.to_json() for model, each in self.by_model.items()},
        }

    def __str__(self) -> str:
        """Return the total as a clause for the log."""
        exactly = "at most " if self.certainty is Certainty.AT_MOST else ""
        if not self.without_quote:
            return f"{exactly}{written_dollars(self.cost)}"
        quoted = self.items - self.without_quote
        rest = "; ".join(f"{count:,}x {reason}" for reason, count in self.reasons.most_common(3))
        return f"{written_dollars(self.cost)} for {quoted:,} of them; no quote for {self.without_quote:,} ({rest})"


def total(quotes: Iterable[tuple[str, Quote]]) -> QuoteTotal:
    """
    Add up quotes.

    :param quotes: Each with its model.
    """
    certainties: set[Certainty] = set()
    by_model: dict[str, ModelTotal] = {}
    reasons: Counter[str] = Counter()
    for model, quote in quotes:
        certainties.add(quote.certainty)
        by_model[model] = by_model.get(model, ModelTotal()).plus(quote)
        if quote.cost is None:
            reasons[quote.reason or ""] += 1
    return QuoteTotal(weakest(certainties), by_model, reasons)
