"""When to send something again: one decision without I/O, for submits, reads and uploads alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_apimart.exceptions import (
    ApimartError,
    ApimartIndeterminateOutcomeError,
    ApimartRateLimitError,
    ApimartTransientError,
    ApimartUnknownOutcomeError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """
    How often, how long and how patiently to try.

    :param tries: Times that something is sent at most. Being asked to slow down (429) doesn't count.
    :param seconds: No try begins later than this after the first one.
    :param rate_limited_seconds: The same, while the service only asks to slow down.
    :param first: Upper bound of the first pause in seconds; it doubles with every failure. The pause is drawn evenly
        between nothing and the bound, so that clients which failed together don't return together.
    :param longest: No pause is longer, whatever ``Retry-After`` says.
    :param unknown_tries: Times that a submit is sent at most while its outcome stays unknown. Fewer, since a service
        that ignored the idempotency key would charge for each.
    """

    tries: int = 8
    seconds: float = 300.0
    rate_limited_seconds: float = 1800.0
    first: float = 1.0
    longest: float = 60.0
    unknown_tries: int = 4

    def pause_after(self, error: ApimartError, failures: int, elapsed: float, draw: float) -> float | None:
        """
        Return the seconds to pause before the next try, or ``None`` to give up.

        :param failures: How many tries have failed, this one included.
        :param elapsed: Seconds since the first try began.
        :param draw: A random number from 0 to 1.
        """
        tries = self._tries(error)
        pause = self._pause(error.retry_after, failures, draw)
        if isinstance(error, ApimartRateLimitError):
            return pause if elapsed + pause <= self.rate_limited_seconds else None
        return pause if failures < tries and elapsed + pause <= self.seconds else None

    def _tries(self, error: ApimartError) -> int:
        match error:
            case ApimartIndeterminateOutcomeError():
                return 0
            case ApimartUnknownOutcomeError():
                return min(self.tries, self.unknown_tries)
            case ApimartTransientError():
                return self.tries
        return 0

    def _pause(self, retry_after: float | None, failures: int, draw: float) -> float:
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        asked = min(self.longest, retry_after or 0.0)
        return asked + draw * bound


def retry_after_seconds(value: str | None, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """
    Return the seconds that a ``Retry-After`` header asks for, in either of its forms.

    :param value: Whole or fractional seconds, or an HTTP date.
    """
    if value is None:
        return None
    try:
        return min(max(0.0, float(value)), 1e9)
    except ValueError:
        return _seconds_until(value, now())


def _seconds_until(value: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
