"""
Polling interval of a running generation.

Generations of one model have similar run times. Once a few run times are known, the next status read comes when a tenth
of the generations that took longer than this one so far would be finished. Otherwise the interval grows with the time
waited. Either way the delay stays at a few percent of the run time, with few requests.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_apimart.api.contract import Modality

_SHORTEST_INTERVAL = 1.0
# No completion is noticed more than a minute late.
_LONGEST_INTERVAL = 60.0

# With known run times of the same model.
_FEWEST_SIBLINGS = 3
_CHANCE_THAT_IT_IS_DONE = 0.1
_SMALLEST_SHARE_OF_WAIT = 0.04

# Without known run times. No video took less than 40 seconds, no image less than 5.
_FIRST_READ_OF_A_VIDEO = 30.0
_FIRST_READ = 4.0
_SHARE_OF_WAIT = 0.1
_SHARE_OF_ESTIMATE = 0.02

# Progress may stall or jump, so it changes the interval by this factor at most.
_TRUST_IN_PROGRESS = 2.0

# Random share of the first pause, and of every later one in either direction.
_SPREAD_OF_FIRST_PAUSE = 0.3
_SPREAD = 0.1


@dataclass(frozen=True)
class PollContext:
    """
    Facts about a running generation that decide the time of its next status read.

    :param waited: Seconds since the submit.
    :param modality: Modality of the generation, if known.
    :param estimated_seconds: APIMart's estimate of the run time, if it has one. A coarse figure.
    :param progress: Percent done at the last read, if reported.
    :param siblings: Recent run times of the same model in seconds, the shortest first.
    """

    waited: float
    modality: Modality | None = None
    estimated_seconds: float | None = None
    progress: float | None = None
    siblings: Sequence[float] = ()

    @property
    def interval(self) -> float:
        """Seconds to the next status read."""
        seconds = self._bent_by_progress(self._until_siblings_finish() or self._unlearnt_interval())
        return min(max(seconds, _SHORTEST_INTERVAL, _SMALLEST_SHARE_OF_WAIT * self.waited), _LONGEST_INTERVAL)

    def _until_siblings_finish(self) -> float | None:
        longer = self.siblings[bisect_right(self.siblings, self.waited) :]
        if len(self.siblings) < _FEWEST_SIBLINGS or not longer:
            return None
        # With few run times this is before the shortest of them.
        place, part = divmod(_CHANCE_THAT_IT_IS_DONE * (len(longer) + 1), 1)
        before = longer[int(place) - 1] if place else self.waited
        return before + part * (longer[int(place)] - before) - self.waited

    def _unlearnt_interval(self) -> float:
        first = _FIRST_READ_OF_A_VIDEO if self.modality is Modality.VIDEO else _FIRST_READ
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
    Pauses between status reads, with a random part that spreads waits which began at the same time.

    :param interval: Seconds between two status reads as set by the user; ``None`` adapts to the run time.
    """

    interval: float | None = None

    def pause(self, poll_context: Callable[[], PollContext], draw: float, *, first: bool = False) -> float:
        """
        Return the seconds to the next status read.

        :param poll_context: Returns the facts about the generation; not called if the user set the interval.
        :param draw: A random number from 0 to 1.
        :param first: Whether it is the first pause of a wait. The random part only shortens that one. Later pauses are
            exact if the user set the interval.
        """
        if self.interval is not None:
            return self.interval * (1 - draw) if first else self.interval
        if first:
            return poll_context().interval * (1 - draw * _SPREAD_OF_FIRST_PAUSE)
        return min(_LONGEST_INTERVAL, poll_context().interval * (1 + _SPREAD * (2 * draw - 1)))
