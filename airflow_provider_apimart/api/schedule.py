"""
When to look at a running generation again, decided without I/O.

The interval between two looks grows with the time already waited, so that the lag stays a few percent of the run
and the requests stay few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_apimart.api.contract import Modality

_SHARE_OF_WAIT = 0.08
_SHORTEST_INTERVAL = 2.0
_LONGEST_INTERVAL = 60.0


@dataclass(frozen=True)
class Outlook:
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


@dataclass(frozen=True)
class PollSchedule:
    """
    When to look again.

    :param interval: Seconds between two looks as the user set them; ``None`` adapts to what is known.
    """

    interval: float | None = None

    def seconds_until_next_look(self, outlook: Outlook, draw: float) -> float:
        """
        Return the seconds to the next look.

        :param draw: A random number from 0 to 1, so that waits that began together don't look together.
        """
        if self.interval is not None:
            return self.interval
        return min(_LONGEST_INTERVAL, max(_SHORTEST_INTERVAL, _SHARE_OF_WAIT * outlook.waited))
