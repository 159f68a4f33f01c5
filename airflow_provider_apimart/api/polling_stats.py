"""Statistics that all waits of a connection share: the status route that answers, and run times by model."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_provider_apimart.api.status_request import StatusRoutes

_REMEMBERED = 64
_MODELS = 256


class _Latest:
    """The latest run times of one model, by time and by length."""

    def __init__(self) -> None:
        self._in_time: deque[float] = deque()
        self.sorted: list[float] = []

    def add(self, seconds: float) -> None:
        self._in_time.append(seconds)
        insort(self.sorted, seconds)
        if len(self._in_time) > _REMEMBERED:
            del self.sorted[bisect_left(self.sorted, self._in_time.popleft())]


class RunTimes:
    """The latest run times of each model. Old run times and models that were long unused are dropped."""

    def __init__(self) -> None:
        self._by_model: OrderedDict[str, _Latest] = OrderedDict()

    def note(self, model: str | None, seconds: float) -> None:
        """
        Add the run time of a generation; without a model it is ignored.

        :param seconds: From submit to completion.
        """
        if model is None:
            return
        self._by_model.setdefault(model, _Latest()).add(seconds)
        self._by_model.move_to_end(model)
        if len(self._by_model) > _MODELS:
            self._by_model.popitem(last=False)

    def of(self, model: str | None) -> Sequence[float]:
        """Return the latest run times of a model in seconds, the shortest first."""
        latest = self._by_model.get(model) if model is not None else None
        return latest.sorted if latest else ()


@dataclass(frozen=True)
class PollingStats:
    """
    Statistics that the waits of one connection in one process collect together.

    :param routes: The status route that answered last.
    :param run_times: The latest run times of each model.
    """

    routes: StatusRoutes = field(default_factory=StatusRoutes)
    run_times: RunTimes = field(default_factory=RunTimes)
