"""
Kill the process with SIGKILL between every two steps of a paid generation, retry, and count what was billed.

``python -m tests.durable.crash_sweep`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.lab import AirflowLab, Run, Template
from tests.lab.crash_points import DEFERRED, UNHEARD_UPLOADS, UPLOADING, WAITING
from tests.lab.references import DISTINCT_REFERENCES, write_references

_LABS = 2


@dataclass(frozen=True)
class Scenario:
    """
    One place to crash at.

    :param point: Name of the crash point.
    :param references: Whether the task uploads files that it refers to.
    """

    point: str
    deferrable: bool
    mapped: bool
    references: bool = False

    @property
    def dag_id(self) -> str:
        """The DAG of the lab that it runs."""
        if self.references:
            return f"lab_references_{'deferred' if self.deferrable else 'waiting'}"
        return f"lab_{'mapped' if self.mapped else 'single'}_{'deferred' if self.deferrable else 'waiting'}"

    @property
    def tasks(self) -> int:
        """How many task instances there are to pay for."""
        return 2 if self.mapped else 1

    @property
    def uploads(self) -> int:
        """How many uploads it takes: one for each content, and one more for an upload that no one heard of."""
        return (DISTINCT_REFERENCES + (self.point in UNHEARD_UPLOADS)) if self.references else 0


@dataclass(frozen=True)
class Outcome:
    """
    What a crash led to.

    :param killed: Whether the process really died at the point.
    :param accepted: Generations that the service made.
    :param delivered: Task instances that returned a completed generation.
    :param uploaded: Files that the service was given.
    """

    scenario: Scenario
    killed: bool
    accepted: int
    billed: int
    delivered: int
    uploaded: int

    @property
    def holds(self) -> bool:
        """Whether each task instance was billed once and delivered, and no file uploaded again that needn't be."""
        expected = self.scenario.tasks
        once = (self.accepted, self.billed, self.delivered) == (expected, expected, expected)
        return self.killed and once and self.uploaded == self.scenario.uploads

    def __str__(self) -> str:
        scenario = self.scenario
        counts = f"{scenario.tasks:>6}{self.billed:>8}{self.delivered:>11}{self.uploaded:>10}"
        return (
            f"{scenario.point:<32}{'deferred' if scenario.deferrable else 'waiting':<10}"
            f"{_kind(scenario):<8}{'yes' if self.killed else 'NO':<8}"
            f"{counts}   {'holds' if self.holds else 'BROKEN'}"
        )


def _kind(scenario: Scenario) -> str:
    if scenario.references:
        return "files"
    return "mapped" if scenario.mapped else "single"


HEADER = (
    f"{'killed at':<32}{'mode':<10}{'kind':<8}{'killed':<8}{'tasks':>6}{'billed':>8}{'delivered':>11}{'uploaded':>10}"
)


def all_scenarios() -> Iterator[Scenario]:
    """Return every crash point in every mode."""
    for mapped in (False, True):
        yield from (Scenario(point, False, mapped) for point in WAITING)
        yield from (Scenario(point, True, mapped) for point in DEFERRED)
    yield from (Scenario(point, False, False, references=True) for point in UPLOADING)


def crash_and_retry(lab: AirflowLab, scenario: Scenario) -> Outcome:
    """Run a DAG to its crash, recover as the scheduler does, and run it to its end."""
    with Sandbox(SandboxSettings(seconds=0.3)) as sandbox, tempfile.TemporaryDirectory() as folder:
        run = lab.start_run(scenario.dag_id, write_references(Path(folder)) if scenario.references else {})
        killed = not run.drive(sandbox.connection_json(), crash=scenario.point)
        run.recover()
        run.drive(sandbox.connection_json())
        return Outcome(scenario, killed, sandbox.accepted, sandbox.billed, _delivered(run), sandbox.uploaded)


def _delivered(run: Run) -> int:
    return sum(
        view.state == "success" and view.returned is not None and view.returned["status"] == "completed"
        for view in run.views()
    )


def sweep(scenarios: Iterable[Scenario]) -> Iterator[Outcome]:
    """Try scenarios, in a few labs side by side, and yield the outcomes as they come."""
    waiting = list(scenarios)
    shares = [waiting[index::_LABS] for index in range(_LABS)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_LABS) as pool:
        for outcomes in pool.map(_share, shares, [Path(folder, f"lab{index}") for index in range(_LABS)]):
            yield from outcomes


def _share(scenarios: list[Scenario], home: Path) -> list[Outcome]:
    with AirflowLab(home, Template(home.parent / "template")) as lab:
        return [crash_and_retry(lab, scenario) for scenario in scenarios]


def main() -> int:
    """Print the table and return 1 if the promise doesn't hold anywhere."""
    outcomes = sorted(sweep(all_scenarios()), key=lambda outcome: list(all_scenarios()).index(outcome.scenario))
    print(HEADER, *outcomes, sep="\n")
    broken = [outcome for outcome in outcomes if not outcome.holds]
    print(f"\n{len(outcomes)} crashes, {len(broken)} of them broke the promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
