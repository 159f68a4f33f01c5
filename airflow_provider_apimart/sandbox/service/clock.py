"""Clock of the sandbox: real time plus an offset that tests can increase."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Unix time in seconds that can be advanced."""

    def __init__(self) -> None:
        self._ahead = 0.0

    @property
    def ahead(self) -> float:
        """The offset to real time in seconds."""
        return self._ahead

    def now(self) -> float:
        """Return the current time in seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """
        Move the clock forward.

        :param seconds: the distance; not negative
        """
        if seconds < 0:
            raise ValueError(f"The clock cannot be moved backward: advance({seconds})")
        self._ahead += seconds


def http_date(moment: float) -> str:
    """Format a time for an HTTP header."""
    return datetime.fromtimestamp(moment, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
