"""Progress of a batch in the log."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from airflow_provider_apimart.batch.summary import BatchCounts, describe
from airflow_provider_apimart.html.formatting import span_words

_FIRST_SECONDS = 10.0
_LONGEST_SECONDS = 300.0
_SHARE_OF_RUN = 0.15


class BatchProgress:
    """
    Lines of a batch's progress, and the times at which they are logged.

    The longer the batch runs, the longer are the pauses between two lines: a night has about a hundred.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ended_before: int | None = None

    def seconds_to_next_line(self, now: float) -> float:
        """
        Return the seconds until the next line.

        :param now: Monotonic time.
        """
        return min(_LONGEST_SECONDS, max(_FIRST_SECONDS, _SHARE_OF_RUN * (now - self._began)))

    def line(self, counts: BatchCounts, in_flight: int, now: float) -> str:
        """
        Return the next line.

        :param in_flight: The number of running generations.
        :param now: Monotonic time.
        """
        seconds = self.seconds_left(counts, now)
        return f"{describe(counts)}; {in_flight:,} in flight{'' if seconds is None else _expected_end(seconds)}"

    def seconds_left(self, counts: BatchCounts, now: float) -> float | None:
        """
        Return the seconds until the end at the pace so far, ``None`` while nothing has ended in this try.

        :param now: Monotonic time.
        """
        if self._ended_before is None:
            # The items of earlier tries say nothing about the pace of this one.
            self._ended_before = counts.ended
            self._began = now
            return None
        ended = counts.ended - self._ended_before
        return (now - self._began) / ended * (counts.items - counts.ended) if ended else None


def _expected_end(seconds: float) -> str:
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"; at this pace it ends at {end:%H:%M} UTC, in {span_words(seconds)}"
