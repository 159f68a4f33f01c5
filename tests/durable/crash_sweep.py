"""
Kill the process with SIGKILL between every two steps of a paid generation, go on, and count what was billed.

``python -m tests.durable.crash_sweep`` prints the table; the tests run a short form of it. Names of crash points as
arguments choose some of its rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from pathlib import Path

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.airflow_versions import lacks
from tests.lab import AirflowLab, Run, Template
from tests.lab.crash_points import DEFERRED, UNHEARD_UPLOADS, UPLOADING, WAITING
from tests.lab.references import DISTINCT_REFERENCES, write_references

_LABS = 2
_QUICK_SECONDS = 0.3
# Longer than any scenario: the generation ends when the test says so.
_ENDLESS_SECONDS = 3600.0

# A task that was killed there and is cleared counts as delivered: the clear asks for a new generation.
_DELIVERED = ("delivery noted", "result half in XCom")
# The wait is over there, so the task is neither deferred any more nor runs into its time-out.
_AFTER_THE_WAIT = ("event written", "resuming", "before the delivery is noted", *_DELIVERED)


class Then(StrEnum):
    """How a task goes on after the crash."""

    RETRIED = "retried"
    CLEARED_FAILED = "cleared while failed"
    CLEARED_DEFERRED = "cleared while deferred"
    CLEARED_TIMED_OUT = "cleared after a time-out"


@dataclass(frozen=True)
class Scenario:
    """
    One place to crash at, and how the task goes on.

    :param point: Name of the crash point.
    :param references: Whether the task uploads files that it refers to.
    :param in_files: Whether the record lies in files, as below Airflow 3.3, and not in the state store.
    """

    point: str
    deferrable: bool
    mapped: bool
    references: bool = False
    then: Then = Then.RETRIED
    in_files: bool = False

    @property
    def dag_id(self) -> str:
        """The DAG of the lab that it runs."""
        mode = "deferred" if self.deferrable else "waiting"
        if self.references:
            return f"lab_references_{mode}"
        patience = "_impatient" if self.then is Then.CLEARED_TIMED_OUT else ""
        return f"lab_{'mapped' if self.mapped else 'single'}_{mode}{patience}"

    @property
    def tasks(self) -> int:
        """How many task instances there are to pay for."""
        return 2 if self.mapped else 1

    @property
    def uploads(self) -> int:
        """How many uploads it takes: one for each content, and one more for an upload that no one heard of."""
        return (DISTINCT_REFERENCES + (self.point in UNHEARD_UPLOADS)) if self.references else 0

    @property
    def row(self) -> tuple[str, str, str]:
        """Crash point, mode and kind, as the table names them."""
        kind = "files" if self.references else "mapped" if self.mapped else "single"
        return self.point, "deferred" if self.deferrable else "waiting", kind

    @property
    def exists(self) -> bool:
        """Whether the task can go on like this after the crash."""
        match self.then:
            case Then.CLEARED_FAILED:
                return self.point not in _DELIVERED
            case Then.CLEARED_DEFERRED:
                return self.deferrable and self.point not in _AFTER_THE_WAIT
            case Then.CLEARED_TIMED_OUT:
                return not self.references and self.point not in _AFTER_THE_WAIT
        return True

    @property
    def ends_by_itself(self) -> bool:
        """Whether the generation ends while the scenario runs, and not at its end only."""
        return self.then in (Then.RETRIED, Then.CLEARED_FAILED) or self.point == "event ready"


@dataclass(frozen=True)
class Outcome:
    """
    What a crash led to.

    :param reached: Whether the process died at the point, and the task then was in the state that the scenario names.
    :param accepted: Generations that the service made.
    :param delivered: Task instances that returned a completed generation.
    :param uploaded: Files that the service was given.
    """

    scenario: Scenario
    reached: bool
    accepted: int
    billed: int
    delivered: int
    uploaded: int

    @property
    def holds(self) -> bool:
        """Whether each task instance was billed once and delivered, and no file uploaded again that needn't be."""
        expected = self.scenario.tasks
        once = (self.accepted, self.billed, self.delivered) == (expected, expected, expected)
        return self.reached and once and self.uploaded == self.scenario.uploads

    @property
    def cell(self) -> str:
        """What was billed and for how many task instances, as the table has it."""
        counts = f"{self.billed}/{self.scenario.tasks}"
        return counts if self.holds else f"{counts} BROKEN"


def all_scenarios() -> Iterator[Scenario]:
    """Return every crash point in every mode, with every way to go on and every place of the record."""
    places = (True,) if lacks("state store") else (False, True)
    for crash, then, in_files in product(_crashes(), Then, places):
        scenario = replace(crash, then=then, in_files=in_files)
        if scenario.exists:
            yield scenario


def _crashes() -> Iterator[Scenario]:
    for mapped in (False, True):
        yield from (Scenario(point, False, mapped) for point in WAITING)
        yield from (Scenario(point, True, mapped) for point in DEFERRED)
    yield from (Scenario(point, False, False, references=True) for point in UPLOADING)


def crash_and_go_on(lab: AirflowLab, scenario: Scenario) -> Outcome:
    """Run a DAG to its crash, do what scheduler and people do then, and run it to its end."""
    settings = SandboxSettings(seconds=_QUICK_SECONDS if scenario.ends_by_itself else _ENDLESS_SECONDS)
    with Sandbox(settings) as sandbox, tempfile.TemporaryDirectory() as folder:
        run = lab.start_run(scenario.dag_id, write_references(Path(folder)) if scenario.references else {})
        killed = not _drive(run, sandbox, scenario, crash=scenario.point)
        reached = _prepare(run, sandbox, scenario)
        if scenario.then is not Then.RETRIED:
            run.clear("generate")
        sandbox.complete_all()
        # What is made only now ends soon too.
        sandbox.configure(seconds=_QUICK_SECONDS)
        _drive(run, sandbox, scenario)
        counts = (sandbox.accepted, sandbox.billed, _delivered(run), sandbox.uploaded)
        return Outcome(scenario, killed and reached, *counts)


def _prepare(run: Run, sandbox: Sandbox, scenario: Scenario) -> bool:
    """Bring the task into the state from which it goes on; return whether it is in it."""
    if scenario.then is Then.CLEARED_FAILED:
        run.fail("generate")
        return _states(run) == {"failed"}
    run.recover()
    if scenario.then is Then.CLEARED_DEFERRED:
        if "deferred" not in _states(run):
            _drive(run, sandbox, scenario, crash="deferral written")
        return "deferred" in _states(run)
    if scenario.then is Then.CLEARED_TIMED_OUT:
        _drive(run, sandbox, scenario)
        return _states(run) == {"failed"}
    return True


def _drive(run: Run, sandbox: Sandbox, scenario: Scenario, crash: str | None = None) -> bool:
    return run.drive(sandbox.connection_json(), crash=crash, without_store=scenario.in_files)


def _states(run: Run) -> set[str | None]:
    return {view.state for view in run.views()}


def _delivered(run: Run) -> int:
    return sum(
        view.state == "success" and view.returned is not None and view.returned["status"] == "completed"
        for view in run.views()
    )


def table(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Return the lines of the table: billed / task instances, for each way to go on with each place of the record."""
    cells = {(each.scenario.row, each.scenario.then, each.scenario.in_files): each.cell for each in outcomes}
    columns = [(then, in_files) for then in Then for in_files in (False, True)]
    heads = [f"{then}, {'files' if in_files else 'store'}" for then, in_files in columns]
    yield f"{'killed at':<30}{'mode':<10}{'kind':<8}" + "".join(f"{head:>33}" for head in heads)
    for row in dict.fromkeys(scenario.row for scenario in _crashes()):
        found = [cells.get((row, *column), "-") for column in columns]
        if set(found) != {"-"}:
            yield f"{row[0]:<30}{row[1]:<10}{row[2]:<8}" + "".join(f"{cell:>33}" for cell in found)


def sweep(scenarios: Iterable[Scenario]) -> Iterator[Outcome]:
    """Try scenarios, in a few labs side by side, and yield the outcomes as they come."""
    waiting = list(scenarios)
    shares = [waiting[index::_LABS] for index in range(_LABS)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_LABS) as pool:
        for outcomes in pool.map(_share, shares, [Path(folder, f"lab{index}") for index in range(_LABS)]):
            yield from outcomes


def _share(scenarios: list[Scenario], home: Path) -> list[Outcome]:
    with AirflowLab(home, Template(home.parent / "template")) as lab:
        return [crash_and_go_on(lab, scenario) for scenario in scenarios]


def main(points: list[str]) -> int:
    """Print the table of some crash points, or of all, and return 1 if the promise doesn't hold anywhere."""
    chosen = [scenario for scenario in all_scenarios() if not points or scenario.point in points]
    outcomes = list(sweep(chosen))
    print(*table(outcomes), sep="\n")
    broken = [outcome for outcome in outcomes if not outcome.holds]
    print(f"\n{len(outcomes)} crashes, {len(broken)} of them broke the promise", *map(repr, broken), sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
