"""
Rate limit of one kind of request, learnt from refusals with 429.

APIMart publishes no limit. None is assumed until a good part of the requests of a few seconds is refused: a lone
refusal has many reasons, so it is waited out and changes nothing. What was let through just before is then the first
estimate of the limit, and each further refusal gives a better one. In between, the rate grows the faster the farther it
is from that estimate, on either side of it: it is soon just below the limit, tries gently whether there is a little
more, and finds within a minute a limit that is much higher. A lone refusal below the estimate changes nothing either.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_DEFAULT_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_SLOWEST = 0.1
# So many refusals, and so large a share of all requests, within so many seconds show a limit.
_WINDOW = 10.0
_REFUSALS = 8
_SHARE = 0.08
# A first estimate is not lower than this.
_FIRST_ESTIMATE = 5.0
# The first refusals come of a burst and say little about the limit; later ones come of a rate slightly too high.
_FIRST_CUT = 0.3
_LATER_CUT = 0.05
# Seconds until the rate is back at the estimate after a later cut. The curve is cubic, and flat where it meets it.
_RECOVERY = 10.0
_CURVATURE = _LATER_CUT / _RECOVERY**3
# A delay of the timer is made up for by at most so many seconds: nothing is sent in bursts.
_LATENESS = 0.05


@dataclass
class _Refusal:
    """
    Refusal of one or several requests that were under way together.

    :param at: Time of the first refusal.
    :param before: Limit as it was estimated until then.
    :param let_through: Requests let through since the previous refusal.
    :param seconds: Seconds since the previous refusal, pauses included.
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
        """Requests a second that APIMart lets through, as far as known."""
        return max(self.let_through / self.seconds, (1 - _FIRST_CUT) * self.lately, self.before / 2)


class RateLimiter:
    """
    Limit of requests a second for all requests of one kind.

    :param clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next_at = self._resume_at = self._recovers_from = 0.0
        self._sent_since_refusal = 0
        self._sent: deque[float] = deque()
        self._refused: deque[float] = deque()
        self._refusal: _Refusal | None = None

    @property
    def per_second(self) -> float | None:
        """Requests a second at present, ``None`` while no limit is known."""
        if self._refusal is None:
            return None
        since = max(0.0, self._clock() - self._recovers_from)
        beyond = since - math.cbrt(self._refusal.cut / _CURVATURE)
        return max(_SLOWEST, self._refusal.limit * (1 + _CURVATURE * beyond**3))

    def seconds_to_wait(self) -> float:
        """Return the seconds until the next request may be sent, 0 for now."""
        return max(0.0, max(self._resume_at, self._next_at) - self._clock())

    def sent(self) -> float:
        """Note that a request is sent now, and return the time, to be given to :meth:`refused`."""
        now, pace = self._clock(), self.per_second
        if pace is not None:
            self._next_at = max(self._next_at, now - _LATENESS) + 1 / pace
        self._sent_since_refusal += 1
        self._sent.append(now)
        _forget(self._sent, now)
        return now

    def refused(self, sent_at: float, retry_after: float | None) -> bool:
        """
        Note that a request was answered with 429, and return whether the rate was cut for it.

        It is not for requests that were under way at the last cut, nor for a lone refusal. Nothing is sent until the
        pause that was asked for, at most a minute, is over.

        :param sent_at: Result of :meth:`sent`.
        :param retry_after: Seconds that the reply asked to wait, if it named them.
        """
        now = self._clock()
        _forget(self._sent, now)
        _forget(self._refused, now)
        self._refused.append(now)
        was_under_way = self._refusal is not None and sent_at <= self._refusal.at
        is_cut = not was_under_way and self._shows_limit()
        if is_cut:
            self._refusal = self._new_refusal(now)
            self._sent_since_refusal = 0
        elif self._refusal is not None and was_under_way:
            # Of those sent together, the ones that are not refused show the limit.
            self._refusal.let_through -= 1
            self._refusal.lately -= 1
        else:
            self._sent_since_refusal -= 1
        pause = _DEFAULT_PAUSE if retry_after is None else min(retry_after, _LONGEST_PAUSE)
        self._resume_at = max(self._resume_at, now + pause)
        if is_cut or was_under_way:
            self._recovers_from = self._resume_at
        return is_cut

    def _shows_limit(self) -> bool:
        """Whether the refusals of the last seconds are too many for chance, or come at a rate that was expected to."""
        rate = self.per_second
        if rate is not None and self._refusal is not None and rate >= self._refusal.limit:
            return True
        return len(self._refused) >= max(_REFUSALS, _SHARE * len(self._sent))

    def _new_refusal(self, now: float) -> _Refusal:
        lately = sum(at >= now - 1.0 for at in self._sent) - sum(at >= now - 1.0 for at in self._refused)
        if self._refusal is None:
            return _Refusal(now, 2 * _FIRST_ESTIMATE, lately, 1.0, lately, _FIRST_CUT)
        # From refusal to refusal, what was let through is what the limit allowed.
        seconds = max(1.0, now - self._refusal.at)
        return _Refusal(now, self._refusal.limit, self._sent_since_refusal - 1, seconds, lately)


def _forget(times: deque[float], now: float) -> None:
    while times and times[0] < now - _WINDOW:
        times.popleft()
