"""Amounts, times, sizes and states in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from airflow_provider_apimart.api.dollars import written_dollars

_WORDS = {"not_submitted": "not submitted", "unknown": "unknown outcome", "": "unknown"}
_UNKNOWN = "\N{EN DASH}"


def dollars(amount: Decimal | None) -> str:
    """Return an amount, a dash if it is unknown."""
    return _UNKNOWN if amount is None else written_dollars(amount)


def status_words(status: str) -> str:
    """Return a status in words; one that isn't known here is shown as it is written."""
    return _WORDS.get(status, status.replace("_", " "))


def moment_words(moment: datetime | None) -> str:
    """Return a time in UTC, a dash if it is unknown."""
    return _UNKNOWN if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d, %H:%M:%S} UTC"


def span_words(seconds: float) -> str:
    """Return a span of time in words, such as ``3 min``."""
    if seconds < 90:
        return f"{max(0, seconds):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    hours = timedelta(seconds=seconds) / timedelta(hours=1)
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"


def bytes_words(size: int | None) -> str:
    """Return a size in words, a dash if it is unknown."""
    if size is None:
        return _UNKNOWN
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
