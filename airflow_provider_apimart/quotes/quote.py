"""Quotes of requests, alone and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.json_values import mapping, money, plain


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


@dataclass(frozen=True)
class QuoteTotal:
    """
    Quotes of several requests, added up.

    :param items: How many requests there are.
    :param cost: US dollars of all that have a quote.
    :param certainty: That of the least certain one.
    :param without_quote: How many have no quote.
    :param by_model: Requests and US dollars of each model.
    :param reasons: Why there is no quote, and for how many requests.
    """

    items: int
    cost: Decimal
    certainty: Certainty
    without_quote: int
    by_model: dict[str, tuple[int, Decimal]]
    reasons: Counter[str]

    def to_json(self) -> dict[str, Any]:
        """Return the total as plain JSON."""
        return {
            "items": self.items,
            "cost": plain(self.cost),
            "certainty": self.certainty.value,
            "without_quote": self.without_quote,
            "by_model": {model: {"items": n, "cost": plain(cost)} for model, (n, cost) in self.by_model.items()},
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
    items, cost, without = 0, Decimal(0), 0
    certainties: set[Certainty] = set()
    by_model: dict[str, tuple[int, Decimal]] = {}
    reasons: Counter[str] = Counter()
    for model, quote in quotes:
        items += 1
        cost += quote.cost or 0
        certainties.add(quote.certainty)
        count, dollars = by_model.get(model, (0, Decimal(0)))
        by_model[model] = (count + 1, dollars + (quote.cost or 0))
        if quote.cost is None:
            without += 1
            reasons[quote.reason or ""] += 1
    return QuoteTotal(items, cost, weakest(certainties), without, by_model, reasons)
