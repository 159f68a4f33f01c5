"""
Kill the process with SIGKILL between every two steps of a paid generation, go on, and count what was billed.

``python -m tests.durable.crash_sweep`` prints the table; the tests run a short form of it. Names of crash points as
arguments choose some of its rows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.airflow_versions import lacks
from tests.lab import AirflowLab, Step, Template
from tests.lab.airflow_lab import TaskView
from tests.lab.crash_points import DEFERRED, UNANSWERED_UPLOADS, UPLOADING, WAITING
from tests.lab.references import DISTINCT_REFERENCES, write_references

PAGE = Path(__file__).resolve().parents[2] / "docs" / "durable-execution.rst"
POINTS = (*(point for point in UPLOADING if point not in WAITING), *DEFERRED)
_LABS = 4
_QUICK_SECONDS = 0.3
# Longer than any scenario: the generation ends when the test says so.
_ENDLESS_SECONDS = 3600.0

# The task has succeeded there: nothing is retried, and a clear asks for a new generation.
_SUCCEEDED = ("success stored", "delivery recorded")
# Only the idempotency key knows there what was paid for.
_ID_UNKNOWN = ("POST sent", "reply read", "before the id is written")
# The wait is over there, so the task is neither deferred any more nor runs into its time-out.
_AFTER_THE_WAIT = ("event written", "resuming", "returning", "result half in XCom", "result in XCom", *_SUCCEEDED)


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
    :param in_files: Whether the record is in files, as below Airflow 3.3, and not in the state store.
    :param ignores_key: Whether the service takes every submit as new, whatever its idempotency key.
    """

    point: str
    deferrable: bool
    mapped: bool
    references: bool = False
    then: Then = Then.RETRIED
    in_files: bool = False
    ignores_key: bool = False

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
        return (DISTINCT_REFERENCES + (self.point in UNANSWERED_UPLOADS)) if self.references else 0

    @property
    def column(self) -> str:
        """The column of the table that it belongs to."""
        return HEADS[-1] if self.ignores_key else self.then

    @property
    def billed(self) -> int:
        """What one task instance is billed."""
        return 2 if self.ignores_key and self.point in _ID_UNKNOWN else 1

    @property
    def exists(self) -> bool:
        """Whether the task can go on like this after the crash."""
        if self.ignores_key:
            first = not self.mapped and self.deferrable is (self.point not in WAITING)
            return self.then is Then.RETRIED and first and not self.references
        match self.then:
            case Then.CLEARED_FAILED:
                return self.point not in _SUCCEEDED
            case Then.CLEARED_DEFERRED:
                return self.deferrable and self.point not in _AFTER_THE_WAIT
            case Then.CLEARED_TIMED_OUT:
                return not self.references and self.point not in _AFTER_THE_WAIT
        return True

    @property
    def ends_by_itself(self) -> bool:
        """Whether the generation ends while the scenario runs, and not at its end only."""
        if self.point == "event ready" and self.then is Then.CLEARED_DEFERRED:
            return True
        return self.then in (Then.RETRIED, Then.CLEARED_FAILED)


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
        tasks = self.scenario.tasks
        billed = tasks * self.scenario.billed
        once = (self.accepted, self.billed, self.delivered) == (billed, billed, tasks)
        return self.reached and once and self.uploaded == self.scenario.uploads

    @property
    def cell(self) -> str:
        """What a task instance was billed, as the table has it."""
        billed = f"{self.billed / self.scenario.tasks:g}"
        return billed if self.holds else f"{billed} BROKEN"


def all_scenarios(*, in_files: bool = lacks("state store")) -> Iterator[Scenario]:
    """
    Return every crash point in every mode, with every way to go on.

    :param in_files: Whether the record is in files; by default it is where this Airflow keeps it.
    """
    for crash, then, ignores_key in product(_crashes(), Then, (False, True)):
        scenario = replace(crash, then=then, in_files=in_files, ignores_key=ignores_key)
        if scenario.exists:
            yield scenario


def _crashes() -> Iterator[Scenario]:
    for mapped in (False, True):
        yield from (Scenario(point, False, mapped) for point in WAITING)
        yield from (Scenario(point, True, mapped) for point in DEFERRED)
    yield from (Scenario(point, False, False, references=True) for point in UPLOADING)


def crash_and_go_on(lab: AirflowLab, scenario: Scenario) -> Outcome:
    """Run a DAG to its crash, do what scheduler and people do then, and run it to its end."""
    settings = SandboxSettings(
        seconds=_QUICK_SECONDS if scenario.ends_by_itself else _ENDLESS_SECONDS,
        ignore_idempotency=scenario.ignores_key,
    )
    with Sandbox(settings) as sandbox, tempfile.TemporaryDirectory() as folder:
        conf = write_references(Path(folder)) if scenario.references else {}
        reached, tasks = _Course(lab, scenario, sandbox.connection_json(), conf).run(sandbox)
        counts = (sandbox.accepted, sandbox.billed, _delivered(tasks), sandbox.uploaded)
        return Outcome(scenario, reached, *counts)


class _Course:
    """
    The course of one scenario, in as few processes as it takes.

    :param conf: Parameters of the DAG run.
    """

    def __init__(self, lab: AirflowLab, scenario: Scenario, connection: str, conf: Mapping[str, Any]) -> None:
        self._run, self._create = lab.new_run(scenario.dag_id, conf)
        self._scenario = scenario
        self._connection = connection

    def run(self, sandbox: Sandbox) -> tuple[bool, Sequence[TaskView]]:
        """Return whether all was reached that the scenario names, and the task instances at the end."""
        killed = self._do(self._create, self._drive(self._scenario.point)) is None
        reached, left = self._prepare()
        sandbox.complete_all()
        # What is made only now ends soon too.
        sandbox.configure(seconds=_QUICK_SECONDS)
        views = self._do(*left, self._drive(), _VIEW)
        if views is None:
            return False, ()
        if self._scenario.then is Then.CLEARED_FAILED:
            reached = _states(views[1]) == {"failed"}
        return killed and reached, views[-1]

    def _prepare(self) -> tuple[bool, Sequence[Step]]:
        """Bring the task into the state from which it goes on; return whether it is in it, and what is left to do."""
        match self._scenario.then:
            case Then.RETRIED:
                return True, [_RECOVER]
            case Then.CLEARED_FAILED:
                return True, [Step("fail", _TASK), _VIEW, _CLEAR]
            case Then.CLEARED_DEFERRED:
                return self._is_deferred() or self._is_deferred(self._drive("deferral written")), [_CLEAR]
        views = self._do(_RECOVER, self._drive(), _VIEW)
        return views is not None and _states(views[-1]) == {"failed"}, [_CLEAR]

    def _is_deferred(self, *steps: Step) -> bool:
        if steps:
            self._do(*steps)
        views = self._do(_RECOVER, _VIEW)
        return views is not None and "deferred" in _states(views[-1])

    def _drive(self, crash: str | None = None) -> Step:
        return Step.drive(crash=crash, without_store=self._scenario.in_files)

    def _do(self, *steps: Step) -> list[Any] | None:
        return self._run.do(*steps, AIRFLOW_CONN_APIMART_DEFAULT=self._connection)


_TASK = {"task_ids": ["generate"]}
_RECOVER, _CLEAR, _VIEW = Step("recover"), Step("clear", _TASK), Step("view")


def _states(views: Iterable[TaskView]) -> set[str | None]:
    return {view.state for view in views}


def _delivered(views: Iterable[TaskView]) -> int:
    return sum(
        view.state == "success" and view.returned is not None and view.returned["status"] == "completed"
        for view in views
    )


BEGIN, END = ".. crash-table: begin", ".. crash-table: end"
HEADS = ("Killed", *(f"{then}" for then in Then), "retried, by a service that ignores the key")


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """
    Return the lines of the table for the documentation: what a task instance was billed, by crash point.

    Modes, mapped or not, and places of the record share a cell: where they differ, it has all their counts.
    """
    cells: dict[tuple[str, str], dict[str, None]] = {}
    for outcome in outcomes:
        cells.setdefault((outcome.scenario.point, outcome.scenario.column), {})[outcome.cell] = None
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (HEADS, *(_row(point, cells) for point in POINTS)):
        lines += [f"   {'*' if number == 0 else ' '} - {cell}".rstrip() for number, cell in enumerate(row)]
    return lines


def _row(point: str, cells: Mapping[tuple[str, str], Iterable[str]]) -> tuple[str, ...]:
    return point, *(" / ".join(cells.get((point, column), ())) for column in HEADS[1:])


def documented() -> list[str]:
    """Return the lines of the table as the documentation has it."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(BEGIN)[1].split(END)[0].strip().splitlines()


def documented_cell(scenario: Scenario) -> str:
    """Return what the documentation says that a task instance is billed in a scenario."""
    rows = "\n".join(documented()).split("   * - ")[1:]
    (row,) = (row for row in rows if row.startswith(f"{scenario.point}\n"))
    return [cell.removeprefix("     -").strip() for cell in row.splitlines()][HEADS.index(scenario.column)]


def sweep(scenarios: Iterable[Scenario]) -> Iterator[Outcome]:
    """Try scenarios, in a few labs side by side, and yield the outcomes as they come."""
    waiting = list(scenarios)
    shares = [waiting[index::_LABS] for index in range(_LABS)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_LABS) as pool:
        for outcomes in pool.map(_share, shares, [Path(folder, f"lab{index}") for index in range(_LABS)]):
            yield from outcomes


def _share(scenarios: list[Scenario], home: Path) -> list[Outcome]:
    with AirflowLab(home, Template(home.parent / "template")) as lab:
        return [_reported(crash_and_go_on(lab, scenario)) for scenario in scenarios]


def _reported(outcome: Outcome) -> Outcome:
    """Print an outcome at once: a sweep that is stopped has shown what it has seen."""
    scenario = outcome.scenario
    print(f"{scenario.point}, {scenario.dag_id}, {scenario.column}: {outcome.cell}", file=sys.stderr, flush=True)
    if not outcome.holds:
        print(outcome, file=sys.stderr, flush=True)
    return outcome


def main(points: list[str]) -> int:
    """Print the table of some crash points, or of all, and return 1 if the promise doesn't hold anywhere."""
    chosen = [scenario for scenario in all_scenarios() if not points or scenario.point in points]
    began = time.monotonic()
    outcomes = list(sweep(chosen))
    lines = table(outcomes)
    print(*lines, sep="\n")
    broken = [outcome for outcome in outcomes if not outcome.holds]
    print(
        f"\nAirflow {version('apache-airflow')}: {len(outcomes)} crashes in {time.monotonic() - began:.0f} s, "
        f"{len(broken)} of them broke the promise"
    )
    if differs := not points and lines != documented():
        print(f"The table differs from the one in {PAGE}")
    return 1 if broken or differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
