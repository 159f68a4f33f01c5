"""
Arguments of operators as plain values: durations, counts, fractions, money and sizes.

Every function takes what people and their tools write (numbers, text, timedeltas, decimals, values of numpy and
pandas), and raises :class:`~airflow_provider_apimart.exceptions.ApimartArgumentError` with the argument's name for
anything else. Operators call them before anything is sent: when the DAG is parsed, or after rendering for arguments
that are templates.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_apimart.api.plain_values import LONGEST_NAME, duration, is_gap, short_name, unwrapped
from airflow_provider_apimart.exceptions import ApimartArgumentError

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[KMGT]?I?B)", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SWITCHES = {"true": True, "false": False}
# Larger exponents are no argument, and would take memory without limit when written out.
_MOST_DIGITS = 30
# Thirty years: further moments no longer fit into every date.
_LONGEST_SECONDS = 10**9


def seconds(value: Any, argument: str, *, least: float = 0.0, exclusive: bool = False) -> float:
    """
    Return a duration in seconds.

    :param value: A number of seconds, also as text, or a timedelta.
    :param argument: The argument's name, for the message.
    :param least: The smallest duration allowed.
    :param exclusive: Whether ``least`` itself is refused.
    :raises ApimartArgumentError: If it is none, or not in range.
    """
    value = duration(value)
    found = Decimal(str(value.total_seconds())) if isinstance(value, timedelta) else _decimal(value)
    bound = f"above {least:g}" if exclusive else f"of {least:g} or more"
    if found is None or found < Decimal(str(least)) or (exclusive and found == Decimal(str(least))):
        raise _invalid(argument, f"must be a number of seconds {bound} or a timedelta", value)
    if found > _LONGEST_SECONDS:
        raise _invalid(argument, f"must be at most {_LONGEST_SECONDS:,} seconds", value)
    return float(found)


def optional_seconds(value: Any, argument: str, *, least: float = 0.0, exclusive: bool = False) -> float | None:
    """Return a duration in seconds as :func:`seconds` does, or ``None`` for ``None``."""
    return None if value is None else seconds(value, argument, least=least, exclusive=exclusive)


def count(value: Any, argument: str, *, least: int = 1) -> int:
    """
    Return a whole number; ``2``, ``2.0`` and ``"2"`` are the same one.

    :param least: The smallest number allowed.
    :raises ApimartArgumentError: If it is none, or a smaller one.
    """
    found = _decimal(value)
    if found is None or found != found.to_integral_value() or found < least:
        raise _invalid(argument, f"must be a whole number of {least} or more", value)
    return int(found)


def count_or_share(value: Any, argument: str) -> int | Decimal:
    """
    Return a whole number as ``int``, or a share from 0 to 1 as an exact :class:`~decimal.Decimal`.

    A number with a decimal point is a share, a number above 1 a count, so that ``2.0`` is 2 and ``1.0`` is all.

    :raises ApimartArgumentError: If it is neither.
    """
    found = _decimal(value)
    if found is not None and found >= 0:
        if found > 1 and found == found.to_integral_value():
            return int(found)
        if found <= 1:
            return found if _has_point(value) else int(found)
    raise _invalid(argument, "must be a count, or a share from 0.0 to 1.0", value)


def share_of(allowed: int | Decimal, total: int) -> int:
    """Return a count as it is, or the whole number that a share of ``total`` comes to: 0.29 of 100 is 29."""
    return int(allowed * total) if isinstance(allowed, Decimal) else allowed


def dollars(value: Any, argument: str) -> Decimal:
    """
    Return an amount of US dollars, exactly as it was written.

    :raises ApimartArgumentError: If it is no amount, an empty text, or negative.
    """
    found = _decimal(value)
    if found is None or found < 0:
        raise _invalid(argument, "must be an amount in US dollars", value)
    return found


def optional_dollars(value: Any, argument: str) -> Decimal | None:
    """Return an amount as :func:`dollars` does, or ``None`` for ``None``. An empty text is refused: it is no limit."""
    return None if value is None else dollars(value, argument)


def byte_size(value: Any, argument: str) -> int:
    """
    Return a number of bytes.

    :param value: A number, also as text, or text with a unit such as ``"5 GB"`` (powers of 1000) or ``"5 GiB"``
        (powers of 1024).
    :raises ApimartArgumentError: If it is neither, or not above 0.
    """
    found = _decimal(value)
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        unit = match["unit"].upper()
        found = Decimal(match["number"]) * (1024 if "I" in unit else 1000) ** _POWERS[unit.rstrip("B").rstrip("I")]
    if found is None or found < 1 or found != found.to_integral_value():
        raise _invalid(argument, 'must be a whole number of bytes above 0 or a text such as "5 GB"', value)
    return int(found)


def optional_byte_size(value: Any, argument: str) -> int | None:
    """Return a number of bytes as :func:`byte_size` does, or ``None`` for ``None``."""
    return None if value is None else byte_size(value, argument)


def connection_id(value: Any) -> str:
    """
    Return the id of a connection.

    :raises ApimartArgumentError: If it is no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise _invalid("apimart_conn_id", "must be the id of a connection", value)
    return value


def switch(value: Any, argument: str) -> bool:
    """
    Return a switch. It may be text, ``"true"`` or ``"false"``, as variables and parameters hold it.

    :raises ApimartArgumentError: If it is any other value, since almost all count as on in Python.
    """
    value = unwrapped(value)
    found = _SWITCHES.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise _invalid(argument, "must be True or False", value)
    return found


def one_of(value: Any, argument: str, choices: tuple[str, ...]) -> str:
    """
    Return a text that is one of a few.

    :raises ApimartArgumentError: If it is another value.
    """
    value = unwrapped(value)
    if not isinstance(value, str) or value not in choices:
        raise _invalid(argument, f"must be {' or '.join(map(repr, choices))}", value)
    return value


def some_of(value: Any, argument: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return texts that are among a few, each once and in their order.

    :param value: A list of them, or a single one.
    :raises ApimartArgumentError: If it is another value.
    """
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list | tuple | set | frozenset) or not all(each in choices for each in named):
        raise _invalid(argument, f"must be a list of {' and '.join(map(repr, choices))}", value)
    return tuple(choice for choice in choices if choice in named)


def optional_name(value: Any, argument: str) -> str | None:
    """
    Return a user's own name for something as text, or ``None`` for a missing value.

    :param value: A text, or a whole number.
    :raises ApimartArgumentError: If it is another value, too long, or has characters that cannot be printed.
    """
    if is_gap(value):
        return None
    name = short_name(value)
    if name is None:
        raise _invalid(argument, f"must be a text of 1 to {LONGEST_NAME} printable characters", value)
    return name


def is_template(value: Any) -> bool:
    """Return whether an argument's value is known only after rendering: a Jinja template or another task's output."""
    return (isinstance(value, str) and ("{{" in value or "{%" in value)) or hasattr(value, "iter_references")


def _decimal(value: Any) -> Decimal | None:
    """Return a finite number exactly as it was written, or ``None``."""
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(unwrapped(value), int | float) and not isinstance(unwrapped(value), bool) and not is_gap(value):
        # The shortest text of a 32-bit float is what was written; its exact value is not.
        text = str(unwrapped(value)) if "/" in str(value) else str(value)
    else:
        return None
    if not _NUMBER.fullmatch(text):
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if abs(found.adjusted()) <= _MOST_DIGITS else None


def _has_point(value: Any) -> bool:
    return "." in str(value) or "e" in str(value).lower()


def _invalid(argument: str, must: str, value: Any) -> ApimartArgumentError:
    reason = f"{argument} {must}, not {_shown(value)}"
    return ApimartArgumentError(f"Invalid argument: {reason}. Nothing was sent", reason=reason)


def _shown(value: Any) -> str:
    if isinstance(value, str | int | float | Decimal | timedelta) or value is None:
        return f"{value!r:.100}"
    return type(value).__name__
