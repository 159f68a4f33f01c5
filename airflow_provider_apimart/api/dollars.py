"""Amounts of US dollars as users write them: numbers, or the texts that templates render to."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def dollars(amount: float | str | Decimal, argument: str) -> Decimal:
    """
    Return an amount exactly as it was written.

    :param argument: What the user calls it.
    :raises ApimartInvalidRequestError: If it is no amount, or a negative one.
    """
    try:
        found = Decimal(str(amount))
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(amount, bool) or not found.is_finite() or found < 0:
        raise ApimartInvalidRequestError(
            f"{argument} must be an amount in US dollars, not {amount!r}; nothing was sent"
        )
    return found
