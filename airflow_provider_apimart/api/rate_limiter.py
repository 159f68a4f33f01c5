"""
How many requests a second a connection sends, learnt from being asked to slow down.

The service publishes no limit, so none is assumed until it refuses a request with 429. What it let through just before
is the first estimate of its limit, and each further refusal gives a better one. In between, the pace grows the faster
the farther it is from that estimate, on either side of it: it is soon just below the limit, tries gently whether there
is a little more, and finds out within a minute when there is much more.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_PAUSE_WHEN_NONE_IS_NAMED = 1.0
_LONGEST_PAUSE = 60.0
_SLOWEST = 0.1
# A single request that is refused tells nothing of a limit, so a first estimate isn't lower than this.
_FIRST_ESTIMATE = 5.0
# A first refusal comes of a burst and tells little of the limit; later ones come of trying a little more.
_FIRST_CUT = 0.3
_LATER_CUT = 0.05
# Seconds in which a later cut is made good. The curve is a cubic one, flat where it meets the estimate.
_RECOVERY = 10.0
_CURVATURE = _LATER_CUT / _RECOVERY**3
# A timer that came late is made up for by as much, and no more: nothing is sent in bunches.
_LATENESS = 0.05


@dataclass
class _Refusal:
    """
    One or several requests, on their way together, that were refused.

    :param at: When the first of them was.
    :param before: The limit as it was estimated until then.
    :param let_through: Requests let through since the refusal before.
    :param seconds: Since the refusal before, pauses included.
    :param lately: Requests let through in the last second.
    """

    at: float
    before: float
    let_through: int
    seconds: float
    lately: int
    cut: float = _LATER_CUT

    @property
    def limit(self) -> float:
        """Requests a second that the service lets through, by what is known of it."""
        return max(self.let_through / self.seconds, (1 - _FIRST_CUT) * self.lately, self.before / 2)


class RateLimiter:
    """
    A limit of requests a second that all requests of a connection share.

    :param clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_at = self._resume_at = 0.0
        self._sent_since_refusal = 0
        self._sent_lately: deque[float] = deque()
        self._refusal: _Refusal | None = None

    @property
    def per_second(self) -> float | None:
        """Requests a second by now, ``None`` while no limit is known."""
        if self._refusal is None:
            return None
        since = max(0.0, self._clock() - self._resume_at)
        beyond = since - math.cbrt(self._refusal.cut / _CURVATURE)
        return max(_SLOWEST, self._refusal.limit * (1 + _CURVATURE * beyond**3))

    def seconds_to_wait(self) -> float:
        """Return the seconds until the next request may be sent, 0 for now."""
        return max(0.0, max(self._resume_at, self._next_at) - self._clock())

    def sent(self) -> float:
        """Note that a request is sent now, and return the moment, to tell if it was refused."""
        now, pace = self._clock(), self.per_second
        if pace is not None:
            self._next_at = max(self._next_at, now - _LATENESS) + 1 / pace
        self._sent_since_refusal += 1
        self._sent_lately.append(now)
        while self._sent_lately[0] < now - 1.0:
            self._sent_lately.popleft()
        return now

    def refused(self, sent_at: float, retry_after: float | None) -> bool:
        """
        Note that a request was answered with 429, and return whether the pace was cut for it.

        It isn't for requests that were under way when it was cut before. Nothing is sent until the service's pause,
        or a minute of it, is over.

        :param sent_at: What :meth:`sent` returned.
        :param retry_after: Seconds that the service asked to pause for, if it named them.
        """
        now = self._clock()
        is_news = self._refusal is None or sent_at > self._refusal.at
        if self._refusal is None or is_news:
            self._refusal = self._new_refusal(now)
            self._sent_since_refusal = 0
        # Of those sent together, the ones that aren't refused after all show what the limit is.
        self._refusal.let_through -= 1
        self._refusal.lately -= 1
        pause = _PAUSE_WHEN_NONE_IS_NAMED if retry_after is None else min(retry_after, _LONGEST_PAUSE)
        self._resume_at = max(self._resume_at, now + pause)
        return is_news

    def _new_refusal(self, now: float) -> _Refusal:
        lately = sum(at >= now - 1.0 for at in self._sent_lately)
        if self._refusal is None:
            return _Refusal(now, 2 * _FIRST_ESTIMATE, lately, 1.0, lately, _FIRST_CUT)
        # From refusal to refusal, what was let through is what the limit allowed.
        seconds = max(1.0, now - self._refusal.at)
        return _Refusal(now, self._refusal.limit, self._sent_since_refusal, seconds, lately)
