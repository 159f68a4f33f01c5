"""Values of numpy, pandas, decimal and enum as plain Python values, without a dependency on those libraries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from numbers import Rational
from typing import Any
from uuid import UUID

# Above this, floats no longer hold every whole number.
_EXACT_INTEGERS = 2.0**53
_FLOAT_BYTES = 8
#: Characters of an id or key at most.
LONGEST_NAME = 200
# Missing values of pandas that cannot be compared, or compare in ways of their own.
_GAP_TYPES = frozenset({"NAType", "NaTType"})
_PLAIN_TYPES = frozenset({str, int, bool, type(None), dict, list})


def is_gap(value: object) -> bool:
    """Return whether a value stands for a missing one: ``None``, NaN of any kind, ``pandas.NA`` or ``pandas.NaT``."""
    if type(value) in _PLAIN_TYPES:
        return value is None
    if type(value).__name__ in _GAP_TYPES:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, str | bytes | Mapping) or hasattr(value, "__len__"):
        return False
    try:
        # Only NaN differs from itself.
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def unwrapped(value: Any) -> Any:
    """
    Return a value of another library as the Python value that it holds, and any other value unchanged.

    Arrays and scalars of numpy and pandas, enumeration members, decimals, fractions, dates, durations (to seconds) and
    UUIDs are converted.
    A whole number that came as a float or decimal becomes an ``int``, because JSON does not tell the two apart and a
    column of integers with gaps holds floats. A missing value inside an array becomes ``None``.
    """
    if type(value) in _PLAIN_TYPES:
        return value
    if isinstance(value, Enum):
        value = value.value
    elif type(value).__name__ in _GAP_TYPES:
        return None
    elif callable(getattr(value, "tolist", None)):
        value = _of_numpy(value)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, Decimal | float):
        return _number(value)
    if isinstance(value, Rational) and not isinstance(value, int):
        return _number(Decimal(int(value.numerator)) / Decimal(int(value.denominator)))
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _of_numpy(value: Any) -> Any:
    kind, size = getattr(getattr(value, "dtype", None), "kind", None), getattr(value, "itemsize", None)
    if getattr(value, "shape", None):
        return [unwrapped(each) for each in value]
    if kind == "M":
        # In nanoseconds, its own conversion makes a number of it.
        return str(value)
    if kind == "f" and size and size < _FLOAT_BYTES:
        # The shortest text of a 32-bit float is what was written; its exact value is not.
        return float(str(value))
    return duration(value) if kind == "m" else value.tolist()


def short_name(value: Any) -> str | None:
    """Return a text of 1 to 200 printable characters, or a whole number as text; ``None`` for any other value."""
    value = unwrapped(value)
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return name if 0 < len(name) <= LONGEST_NAME and name.isprintable() else None


def duration(value: Any) -> Any:
    """Return a ``numpy.timedelta64`` as a timedelta, and any other value unchanged."""
    dtype = getattr(value, "dtype", None)
    return timedelta(microseconds=int(value.astype("timedelta64[us]").astype(int))) if _is_duration(dtype) else value


def _is_duration(dtype: object) -> bool:
    return getattr(dtype, "kind", None) == "m"


def _number(value: Decimal | float) -> int | float:
    as_float = float("nan") if is_gap(value) else float(value)
    is_whole = as_float.is_integer() and abs(as_float) <= _EXACT_INTEGERS
    return int(value) if is_whole and value == as_float else as_float
