"""
Requests and delay of the adaptive polling schedule, compared with the fixed interval of 2 seconds in APIMart's example.

The clock is simulated and jumps from poll to poll. Every wait is the provider's own flow, run against a service whose
generations take the times of the mix below. Each model's generations run 20 at a time, as in a nightly run, so that
later ones profit from the run times of earlier ones.
"""

from __future__ import annotations

import heapq
import json
import math
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import FlowStep, Pause
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.waiting import Wait, wait_until_final

FIXED_INTERVAL = 2.0
GENERATIONS = 150
AT_ONCE = 20
BEGIN = 1_800_000_000.0


@dataclass(frozen=True)
class Model:
    """
    A model of the mix; its run times are spread log-normally and then clipped.

    :param median: Seconds.
    :param sigma: Spread of the logarithm.
    """

    modality: Modality
    median: float
    sigma: float

    @property
    def name(self) -> str:
        """Name of the model, here and in the requests."""
        return f"{self.modality} of {self.median:.0f} s"

    def run_time(self, dice: random.Random) -> float:
        """Return a random run time."""
        shortest, longest = (5.0, 180.0) if self.modality is Modality.IMAGE else (40.0, 900.0)
        return min(longest, max(shortest, dice.lognormvariate(math.log(self.median), self.sigma)))


MIX = (
    *(Model(Modality.IMAGE, median, 0.25) for median in (6, 10, 18, 35, 70, 140)),
    *(Model(Modality.VIDEO, median, 0.3) for median in (60, 120, 300, 600)),
)

Progress = Callable[[float], float | None]


@dataclass(frozen=True)
class Scenario:
    """
    Conditions under which the mix runs.

    :param learns: Whether a wait knows the run times of earlier ones.
    :param estimated: The service's ``estimated_time``, as a multiple of the model's median; ``None`` for none.
    :param progress: Reported percentage at a share of the run.
    :param change: Factor for the model's run times from the middle of the run on.
    """

    name: str
    learns: bool = True
    estimated: float | None = None
    progress: Progress = lambda share: None
    change: float = 1.0


SCENARIOS = (
    Scenario("learning, nothing reported"),
    Scenario("learning, estimated_time reported", estimated=2.0),
    Scenario("learning, progress linear", progress=lambda share: 100 * share),
    Scenario("learning, progress 0 until done", progress=lambda share: 0.0),
    Scenario("learning, progress stalls at 90 %", progress=lambda share: min(90.0, 300 * share)),
    Scenario("nothing learnt, nothing reported", learns=False),
    Scenario("nothing learnt, estimated_time reported", learns=False, estimated=2.0),
    Scenario("nothing learnt, progress linear", learns=False, progress=lambda share: 100 * share),
    Scenario("suddenly three times slower", change=3.0),
    Scenario("suddenly three times faster", change=1 / 3),
)


@dataclass
class Run:
    """
    One generation and the wait for it.

    :param seconds: Its run time.
    :param requests: Number of polls so far.
    :param found_after: Seconds from the submit to the poll that found it finished.
    """

    model: Model
    scenario: Scenario
    submitted_at: float
    seconds: float
    requests: int = 0
    found_after: float = 0.0

    @property
    def lag(self) -> float:
        """Seconds from its end to the poll that found it finished."""
        return self.found_after - self.seconds

    @property
    def fixed_requests(self) -> int:
        """Number of polls with the fixed interval."""
        return math.ceil(self.seconds / FIXED_INTERVAL)

    @property
    def fixed_lag(self) -> float:
        """Seconds from its end to the poll that finds it finished, with the fixed interval."""
        return self.fixed_requests * FIXED_INTERVAL - self.seconds

    def read_status(self, now: float) -> Reply:
        """Return the service's reply to a poll."""
        self.requests += 1
        self.found_after = now - self.submitted_at
        return Reply(200, {}, json.dumps({"code": 200, "data": self._record(now)}).encode())

    def _record(self, now: float) -> dict[str, object]:
        share = (now - self.submitted_at) / self.seconds
        estimated = self.scenario.estimated
        record: dict[str, object] = {
            "status": "processing",
            "progress": self.scenario.progress(min(share, 1.0)),
            "estimated_time": estimated and estimated * self.model.median,
            "created": int(self.submitted_at),
        }
        finished = {"status": "completed", "completed": int(self.submitted_at + self.seconds)}
        return record | finished if share >= 1 else record


@dataclass
class Night:
    """
    A night's generations of one model on a clock of their own, a number of them at once.

    :param now: The virtual Unix time.
    """

    model: Model
    scenario: Scenario
    now: float = BEGIN
    runs: list[Run] = field(default_factory=list)
    polling_stats: PollingStats = field(default_factory=PollingStats)

    def pass_by(self) -> list[Run]:
        """Run all of them and return what became of each."""
        dice = random.Random(self.model.name)  # no secret depends on it
        numbers = count()
        due = [(self.now, next(numbers), self._work(dice)) for _ in range(AT_ONCE)]
        while due:
            self.now, _, work = heapq.heappop(due)
            if (resumes_at := next(work, None)) is not None:
                heapq.heappush(due, (resumes_at, next(numbers), work))
        return self.runs

    def _work(self, dice: random.Random) -> Iterator[float]:
        """Submit and wait, again and again, until the night's generations are all made."""
        while len(self.runs) < GENERATIONS:
            change = self.scenario.change if len(self.runs) >= GENERATIONS / 2 else 1.0
            run = Run(self.model, self.scenario, self.now, change * self.model.run_time(dice))
            self.runs.append(run)
            yield from self._wait(run)

    def _wait(self, run: Run) -> Iterator[float]:
        """Run the provider's own wait; yield the times at which it continues."""
        wait = Wait("task", started_at=self.now, modality=self.model.modality, model=self.model.name)
        polling_stats = self.polling_stats if self.scenario.learns else PollingStats()
        flow = wait_until_final(wait, polling_stats, clock=lambda: self.now)
        step: FlowStep = next(flow)
        while True:
            if isinstance(step, Pause):
                yield self.now + step.seconds
            try:
                step = flow.send(None if isinstance(step, Pause) else run.read_status(self.now))
            except StopIteration:
                return


def row(name: str, runs: Sequence[Run]) -> str:
    """Return a line of the table."""
    requests, fixed = sum(run.requests for run in runs), sum(run.fixed_requests for run in runs)
    lags = sorted(run.lag / run.seconds for run in runs)
    fixed_lag = statistics.mean(run.fixed_lag / run.seconds for run in runs)
    worst = max(runs, key=lambda run: run.lag)
    return (
        f"{name:<38}{requests / len(runs):>9.1f}{fixed / len(runs):>8.1f}{requests / fixed:>8.0%}"
        f"{statistics.mean(lags):>8.1%}{fixed_lag:>8.1%}{lags[len(lags) * 95 // 100]:>8.0%}{lags[-1]:>8.0%}"
        f"{worst.lag:>8.1f} s of {worst.seconds:.0f} s"
    )


HEAD = f"{'':<38}{'requests':>9}{'fixed':>8}{'share':>8}{'lag':>8}{'fixed':>8}{'95 %':>8}{'worst':>8}  latest of all"


def main() -> None:
    """Print the tables."""
    random.seed(4)
    print(
        f"Polls per generation and lag in parts of the run time: {len(MIX)} models, {GENERATIONS} generations each,\n"
        f"{AT_ONCE} at a time, beside a fixed loop of {FIXED_INTERVAL:.0f} s. Virtual clock.\n"
    )
    print(HEAD)
    mixes = {scenario: [Night(model, scenario).pass_by() for model in MIX] for scenario in SCENARIOS}
    for scenario, nights in mixes.items():
        print(row(scenario.name, [run for night in nights for run in night]))
    for scenario in (SCENARIOS[0], SCENARIOS[5]):
        print(f"\n{scenario.name}, by model\n{HEAD}")
        for model, night in zip(MIX, mixes[scenario], strict=True):
            print(row(model.name, night))


if __name__ == "__main__":
    main()
