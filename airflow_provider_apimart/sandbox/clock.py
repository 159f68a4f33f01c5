"""The sandbox's time: real, but it can be put forward so that nobody waits for 24 hours to pass."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Unix time in seconds that runs at its usual pace and can be advanced."""

    def __init__(self) -> None:
        self._ahead = 0.0

    @property
    def ahead(self) -> float:
        """How many seconds this clock has been put forward."""
        return self._ahead

    def now(self) -> float:
        """Return the current time in seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """
        Put the clock forward.

        :param seconds: how far; time never runs backwards, so it must not be negative
        """
        if seconds < 0:
            raise ValueError(f"The clock only goes forward: advance({seconds})")
        self._ahead += seconds


def http_date(moment: float) -> str:
    """Write a moment the way HTTP headers do."""
    return datetime.fromtimestamp(moment, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
