"""
When to look at a running generation again, decided without I/O.

Siblings finish alike: once a few generations of a model were seen, the next look comes when a tenth of those that
took longer than this one by now would be finished. Without them, the interval grows with the time waited. Either way
the lag stays a few percent of the run and the requests stay few.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_apimart.api.contract import Modality

_SHORTEST_INTERVAL = 1.0
# So that nothing is found late by more than a minute, however odd its run.
_LONGEST_INTERVAL = 60.0

# What is known of siblings.
_FEWEST_SIBLINGS = 3
_CHANCE_THAT_IT_IS_DONE = 0.1
_SMALLEST_SHARE_OF_WAIT = 0.04

# What is done while nothing is known of them. No video took less than 40 seconds, no picture less than 5.
_FIRST_LOOK_AT_A_VIDEO = 30.0
_FIRST_LOOK = 4.0
_SHARE_OF_WAIT = 0.1
_SHARE_OF_ESTIMATE = 0.02

# A progress may stall or jump, so what it promises bends the interval by this factor at most.
_TRUST_IN_PROGRESS = 2.0

# How much of a first pause is left to chance, and of every later one to either side.
_SPREAD_OF_FIRST_PAUSE = 0.3
_SPREAD = 0.1


@dataclass(frozen=True)
class PollContext:
    """
    What is known of a running generation when its next look is decided.

    :param waited: Seconds since it was submitted.
    :param modality: What it makes, if known.
    :param estimated_seconds: How long the service thinks it takes in all, if it said. A coarse figure.
    :param progress: Percent done at the last look, if the service said.
    :param siblings: How long generations of the same model took lately, the shortest first.
    """

    waited: float
    modality: Modality | None = None
    estimated_seconds: float | None = None
    progress: float | None = None
    siblings: Sequence[float] = ()

    @property
    def interval(self) -> float:
        """Seconds to the next look that keep both the lag and the requests low."""
        seconds = self._bent_by_progress(self._until_siblings_finish() or self._unlearnt_interval())
        return min(max(seconds, _SHORTEST_INTERVAL, _SMALLEST_SHARE_OF_WAIT * self.waited), _LONGEST_INTERVAL)

    def _until_siblings_finish(self) -> float | None:
        longer = self.siblings[bisect_right(self.siblings, self.waited) :]
        if len(self.siblings) < _FEWEST_SIBLINGS or not longer:
            return None
        # With few siblings this lies before the first of them, which is as careful as it should be.
        place, part = divmod(_CHANCE_THAT_IT_IS_DONE * (len(longer) + 1), 1)
        before = longer[int(place) - 1] if place else self.waited
        return before + part * (longer[int(place)] - before) - self.waited

    def _unlearnt_interval(self) -> float:
        first = _FIRST_LOOK_AT_A_VIDEO if self.modality is Modality.VIDEO else _FIRST_LOOK
        shortest = max(_SHORTEST_INTERVAL, _SHARE_OF_ESTIMATE * (self.estimated_seconds or 0.0))
        return max(first - self.waited, shortest, _SHARE_OF_WAIT * self.waited)

    def _bent_by_progress(self, seconds: float) -> float:
        if self.progress is None or not 0 < self.progress < 100:
            return seconds
        left = self.waited * (100 / self.progress - 1)
        return min(max(left, seconds / _TRUST_IN_PROGRESS), seconds * _TRUST_IN_PROGRESS)


@dataclass(frozen=True)
class PollSchedule:
    """
    When to look again. Waits that began in the same instant are spread, so that they don't look in the same instant.

    :param interval: Seconds between two looks as the user set them; ``None`` adapts to what is known.
    """

    interval: float | None = None

    def pause(self, poll_context: Callable[[], PollContext], draw: float, *, first: bool = False) -> float:
        """
        Return the seconds to the next look.

        :param poll_context: Tells what is known of the generation; it isn't asked where the user has decided.
        :param draw: A random number from 0 to 1.
        :param first: Whether it is a wait's first pause. Chance only shortens that one; later ones are kept exactly
            where the user set them.
        """
        if self.interval is not None:
            return self.interval * (1 - draw) if first else self.interval
        if first:
            return poll_context().interval * (1 - draw * _SPREAD_OF_FIRST_PAUSE)
        return min(_LONGEST_INTERVAL, poll_context().interval * (1 + _SPREAD * (2 * draw - 1)))
