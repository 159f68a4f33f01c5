"""Limit of the cost of one request: one decision without I/O."""

from __future__ import annotations

from decimal import Decimal

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.exceptions import ApimartCostLimitError
from airflow_provider_apimart.quotes.quote import Quote


def check_cost_limit(quote: Quote, max_cost: Decimal) -> None:
    """
    Return if a request may be submitted.

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
