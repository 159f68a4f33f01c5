"""
Readers of untrusted JSON: each returns a typed value or ``None``, and raises nothing.

Money is read as :class:`~decimal.Decimal` and times as aware :class:`~datetime.datetime`; :func:`plain` turns
them back into JSON that XCom and JavaScript can hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

JsonObject = Mapping[str, Any]

# Made once: every poll reads several numbers.
_NUMERIC = (int, float, Decimal, str)

_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=lambda _: None)

# Later than this many seconds (the year 5138) a time must have been given in milliseconds.
_LATEST_SECONDS = 1e11
# Leaves room to add a lifetime to any time that is believed.
_END_OF_TIME = 9000
# The service's credits_cost carries the noise of binary floats.
_MONEY_DIGITS = Decimal("1e-9")


def parse(body: bytes) -> object:
    """
    Return what a body says as JSON, with fractions as decimals, or ``None`` if it isn't JSON.

    Letters in another encoding than Unicode's are lost, the rest of the body isn't.
    """
    try:
        return _DECODER.decode(_decoded(body))
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        # Messages in a national encoding: everything else is ASCII.
        return body.decode(encoding, "replace")


def mapping(value: object) -> JsonObject:
    """Return a JSON object, or an empty one."""
    # Nearly all are a dict, and asking that first is many times cheaper.
    return value if isinstance(value, (dict, Mapping)) else {}


def items(value: object) -> list[Any]:
    """Return a JSON array as it is, ``None`` as nothing, and anything else as the only item."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def text(value: object) -> str | None:
    """Return a non-empty string that can be encoded anywhere; a whole number counts as its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = _digits(value)
    if not isinstance(value, str):
        return None
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    return value.strip() or None


def _digits(value: int) -> str:
    return str(value) if value.bit_length() <= 256 else ""


def number(value: object) -> float | None:
    """Return a finite number, also from a string such as ``"45"`` or ``"45%"``."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    try:
        found = float(value.rstrip("% ") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def money(value: object) -> Decimal | None:
    """Return an amount rounded to a billionth, or ``None``."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    return _of_float(value) if isinstance(value, float) else _rounded(value)


# Thousands of items have few prices.
@lru_cache(maxsize=1_000)
def _of_float(value: float) -> Decimal | None:
    return _rounded(str(value))


def _rounded(value: Any) -> Decimal | None:
    try:
        amount = Decimal(value)
        return _without_zeros(amount.quantize(_MONEY_DIGITS)) if amount.is_finite() else None
    except (InvalidOperation, ValueError):
        return None


def _without_zeros(amount: Decimal) -> Decimal:
    # A plain normalize() would write a hundred dollars as 1E+2.
    whole = amount.to_integral_value()
    return whole if amount == whole else amount.normalize()


def moment(value: object) -> datetime | None:
    """Return a time given as Unix seconds, Unix milliseconds or ISO 8601."""
    try:
        found = _moment(value)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found and found.year < _END_OF_TIME else None


def _moment(value: object) -> datetime | None:
    # Most are in ISO 8601, which no number has a T in.
    seconds = None if isinstance(value, str) and "T" in value else number(value)
    if seconds is None:
        return _aware(datetime.fromisoformat(value)) if isinstance(value, str) else None
    in_seconds = seconds / 1000 if seconds > _LATEST_SECONDS else seconds
    return datetime.fromtimestamp(in_seconds, UTC) if in_seconds > 0 else None


def _aware(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def plain(value: object) -> Any:
    """
    Return a value as plain JSON: decimals as numbers, times as ISO 8601 in UTC, what isn't finite as ``None``.

    :param value: A tree of JSON values, decimals, times, lists and mappings; one nested too deep is ``None``.
    """
    try:
        return _plain(value)
    except RecursionError:
        return None


def _plain(value: object) -> Any:
    match value:
        case bool() | None:
            return value
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case int():
            return value if value.bit_length() <= 256 else None
        case float() | Decimal():
            return number(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return {_plain(str(key)): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)
