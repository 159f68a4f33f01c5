"""Amounts of US dollars as messages and pages show them."""

from __future__ import annotations

from decimal import Decimal


def written_dollars(amount: Decimal) -> str:
    """
    Return an amount in the one form that messages use, such as ``$1,095.10`` or ``$0.015``.

    It has two decimal places, or as many as the amount needs.
    """
    places = max(2, -int(amount.normalize().as_tuple().exponent)) if amount.is_finite() else 2
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"
