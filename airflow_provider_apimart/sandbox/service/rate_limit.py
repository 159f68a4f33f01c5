"""Token bucket for rate limits, with a burst of one second."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """
    A token bucket.

    :param rate: requests per second; the capacity is one second, at least one request
    :param now: returns the time in seconds
    """

    def __init__(self, rate: float, now: Callable[[], float]) -> None:
        if rate <= 0:
            raise ValueError(f"A rate limit must be above zero, not {rate}")
        self._rate = rate
        self._now = now
        self._tokens = self._capacity = max(1.0, rate)
        self._filled = now()

    def take(self) -> float:
        """Take a token; return 0, or the seconds until one is available."""
        now = self._now()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0
