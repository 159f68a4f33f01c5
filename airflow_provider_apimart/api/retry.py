"""
Retry policy: the decision whether and when to repeat a request. No I/O.

Which errors are repeated is stated on their classes (``is_resent``, ``resend_may_charge``). Each kind of request has a
policy beside it: ``SUBMIT_POLICY`` (``api/submission.py``), ``UPLOAD_POLICY`` (``api/upload.py``), ``STATUS_POLICY``
(``api/waiting.py``), ``PRICE_POLICY`` (``quotes/price_book.py``) and ``DOWNLOAD_POLICY``
(``results/download/limits.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_apimart.exceptions import (
    ApimartError,
    ApimartGenerationNotFoundError,
    ApimartRateLimitError,
    ApimartUnknownOutcomeError,
)


@dataclass(frozen=True)
class Failures:
    """
    Failures since a request was sent first.

    :param failed: The number of requests that failed, without those answered with 429.
    :param unknown: The number of those that left the outcome of a submit unknown.
    :param rate_limited: The number of requests answered with 429.
    :param seconds: Seconds since the first request, without the pauses after a 429.
    :param rate_limited_seconds: Seconds of the pauses after a 429.
    """

    failed: int = 0
    unknown: int = 0
    rate_limited: int = 0
    seconds: float = 0.0
    rate_limited_seconds: float = 0.0

    def after(self, error: ApimartError, elapsed: float) -> Failures:
        """
        Return the failures with one more.

        :param elapsed: Seconds since the first request.
        """
        now = replace(self, seconds=elapsed - self.rate_limited_seconds)
        if isinstance(error, ApimartRateLimitError):
            return replace(now, rate_limited=self.rate_limited + 1)
        unknown = isinstance(error, ApimartUnknownOutcomeError)
        return replace(now, failed=self.failed + 1, unknown=self.unknown + unknown)

    def after_pause(self, error: ApimartError, pause: float) -> Failures:
        """Return the failures after a pause. It counts as rate limited if the error was a 429."""
        limited = pause if isinstance(error, ApimartRateLimitError) else 0.0
        return replace(self, rate_limited_seconds=self.rate_limited_seconds + limited)


@dataclass(frozen=True)
class RetryPolicy:
    """
    How often a request is sent at most, and the pauses in between.

    :param max_requests: The largest number of requests, without those answered with 429.
    :param max_unknown: The largest number of requests of a submit whose outcome stays unknown. It is smaller,
        since a service that ignored the idempotency key would charge for each.
    :param seconds: Seconds after the first request within which each further one begins.
    :param rate_limited_seconds: Seconds of pauses after a 429 at most, in addition to ``seconds``.
    :param first: Upper bound of the first pause in seconds; it doubles with every failure. A pause is drawn evenly
        between 0 and the bound, so that clients that failed together don't return together.
    :param longest: Largest upper bound of a pause in seconds, and the most that is waited of a ``Retry-After``.
    :param new_seconds: Seconds for which the status of a generation that is not found is read again, however many
        reads fail; in a status policy, the seconds after a submit for which a generation is new.
    """

    max_requests: int = 8
    max_unknown: int = 4
    seconds: float = 300.0
    rate_limited_seconds: float = 1800.0
    first: float = 1.0
    longest: float = 60.0
    new_seconds: float = 0.0

    def within(self, seconds: float) -> RetryPolicy:
        """Return the policy bounded to a number of seconds."""
        if seconds >= self.seconds and seconds >= self.rate_limited_seconds:
            return self
        left = max(0.0, seconds)
        return replace(self, seconds=min(self.seconds, left), rate_limited_seconds=min(self.rate_limited_seconds, left))

    def after_submit(self, age: float) -> RetryPolicy:
        """
        Return the policy for reading the status of a generation.

        :param age: Seconds since its submit.
        """
        return replace(self, new_seconds=max(0.0, self.new_seconds - age)) if self.new_seconds else self

    def pause_after(self, error: ApimartError, failures: Failures, draw: float) -> float | None:
        """
        Return the seconds to pause before the next try, or ``None`` to give up.

        :param failures: The failures so far, this error included.
        :param draw: A random number from 0 to 1.
        """
        if isinstance(error, ApimartRateLimitError):
            pause = self._pause(error, failures.rate_limited, draw)
            return pause if failures.rate_limited_seconds + pause <= self.rate_limited_seconds else None
        pause = self._pause(error, failures.failed, draw)
        in_time = failures.seconds + pause <= self.seconds
        return pause if in_time and self._has_a_try_left(error, failures) else None

    def _has_a_try_left(self, error: ApimartError, failures: Failures) -> bool:
        is_new = isinstance(error, ApimartGenerationNotFoundError) and failures.seconds < self.new_seconds
        may_charge_again = error.resend_may_charge and failures.unknown >= self.max_unknown
        return error.is_resent and (failures.failed < self.max_requests or is_new) and not may_charge_again

    def _pause(self, error: ApimartError, failures: int, draw: float) -> float:
        bound = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        return min(self.longest, error.retry_after or 0.0) + draw * bound


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
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (aware - now).total_seconds())
    except (ValueError, IndexError, OverflowError):
        return None
