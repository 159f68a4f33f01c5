"""The side of the lab that tests talk to. It imports no Airflow: that lives in the lab's own processes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab.fork_server import ForkServer, Template, airflow_environment

_KILLED = -9
# An unknown generation counts as new for two seconds instead of two minutes.
QUICK = {"first": 0.02, "longest": 1.0, "new_seconds": 2.0}


@dataclass(frozen=True)
class TaskView:
    """A task instance as Airflow's database has it."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    xcoms: Mapping[str, Any]

    @property
    def returned(self) -> Any:
        """What the task returned."""
        return self.xcoms.get("return_value")


@dataclass(frozen=True)
class Step:
    """
    One thing that a process of the lab does.

    :param action: Name of a function of :mod:`tests.lab.actions`.
    :param arguments: Its arguments beside the run.
    """

    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def drive(cls, *, crash: str | None = None, without_store: bool = False) -> Self:
        """Run tasks, retries and triggers, as :meth:`Run.drive` does."""
        return cls("drive", {"crash": crash, "without_store": without_store, "policy": QUICK})


class Run:
    """
    One DAG run in the lab.

    :param lab: Where it runs.
    """

    def __init__(self, lab: AirflowLab, dag_id: str, run_id: str) -> None:
        self._lab = lab
        self.dag_id = dag_id
        self.run_id = run_id

    def drive(
        self,
        connection: str,
        *,
        crash: str | None = None,
        without_store: bool = False,
        policy: Mapping[str, float] = QUICK,
        signal_after: tuple[str, float] | tuple[str, float, str] | None = None,
        **environment: str,
    ) -> bool:
        """
        Run tasks, retries and triggers until the run has ended, waits for a person, or the process was killed.

        :param connection: The connection to APIMart as JSON.
        :param crash: Name of the crash point at which the process kills itself; see :mod:`tests.lab.crash_points`.
        :param without_store: Whether tasks find no state store, as on Airflow below 3.3.
        :param policy: Changes to the retry policies, so that pauses are short.
        :param signal_after: What :func:`~tests.lab.crash_points.send_later` takes.
        :param environment: Variables of the process, for the DAGs of the lab to read.
        :return: Whether there is nothing left to run; ``False`` if the process was killed.
        """
        environment = environment | {"AIRFLOW_CONN_APIMART_DEFAULT": connection}
        arguments: dict[str, Any] = {"crash": crash, "without_store": without_store, "policy": dict(policy)}
        arguments["signal_after"] = signal_after
        reply = self._lab.ask("drive", self, environment, **arguments)
        if reply["status"] not in (0, _KILLED):
            raise AssertionError(f"the lab's process ended with {reply['status']}:\n{self.log[-6000:]}")
        return bool(reply["status"] == 0)

    def do(self, *steps: Step, **environment: str) -> list[Any] | None:
        """
        Do several things in one process, which is cheaper than one for each.

        :param environment: Variables of the process.
        :return: What each of them has returned, a list of :class:`TaskView` for a view; ``None`` if the process was
            killed.
        """
        reply = self._lab.ask("steps", self, environment, todo=[(step.action, step.arguments) for step in steps])
        if reply["status"] == _KILLED:
            return None
        if reply["status"]:
            raise AssertionError(f"the lab's process ended with {reply['status']}:\n{self.log[-6000:]}")
        return [
            [TaskView(**view) for view in returned] if step.action == "view" else returned
            for step, returned in zip(steps, reply["result"], strict=True)
        ]

    def recover(self) -> None:
        """Do what the scheduler does about tasks whose process has died."""
        self._result("recover")

    def fail(self, *task_ids: str) -> None:
        """Mark tasks as failed as a person does in the web interface."""
        self._result("fail", task_ids=task_ids)

    def clear(self, *task_ids: str) -> None:
        """Clear tasks as a person does in the web interface."""
        self._result("clear", task_ids=task_ids)

    def answer(self, task_id: str, option: str) -> None:
        """Answer a task that waits for a person, as the page of the task does."""
        self._result("answer", task_id=task_id, option=option)

    def leave_unanswered(self, task_id: str) -> None:
        """Let the time be over in which a person may answer a task."""
        self._result("leave_unanswered", task_id=task_id)

    def asset_events(self) -> list[dict[str, Any]]:
        """Return the URI and the extra of every asset event that the run has emitted, in their order."""
        return list(self._result("asset_events"))

    def view(self, task_id: str, map_index: int = -1) -> TaskView:
        """Return a task instance as it is now."""
        return next(view for view in self.views() if (view.task_id, view.map_index) == (task_id, map_index))

    def views(self) -> list[TaskView]:
        """Return all task instances of the run."""
        return [TaskView(**view) for view in self._result("view")]

    def rows(self) -> list[str]:
        """Return every row of every table of Airflow's database as text."""
        return list(self._result("rows"))

    @property
    def log(self) -> str:
        """Everything that Airflow has logged so far in this lab."""
        return self._lab.log_file.read_text(errors="replace")

    def _result(self, action: str, **arguments: Any) -> Any:
        reply = self._lab.ask(action, self, {}, **arguments)
        if reply["status"]:
            raise AssertionError(f"the lab couldn't {action}:\n{self.log[-6000:]}")
        return reply["result"]


class AirflowLab:
    """
    An Airflow of its own.

    :param home: A directory for its database and logs, made here.
    :param template: What it shares with other labs.
    """

    def __init__(self, home: Path, template: Template) -> None:
        self.home = home
        self.log_file = home / "lab.log"
        self._runs = 0
        self._environment = airflow_environment(home, template.dags)
        self._server = ForkServer("actions", template, self.log_file)

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self._server.start()
        shutil.copytree(self._server.template.home, self.home, dirs_exist_ok=True)
        reply = self._server.ask("make_dags_known", self._environment)
        if reply["status"]:
            raise AssertionError(f"the lab's DAGs can't be made known:\n{self.log_file.read_text()[-6000:]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def start_run(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> Run:
        """Create a DAG run; nothing runs before :meth:`Run.drive`."""
        run, create = self.new_run(dag_id, conf)
        run.do(create)
        return run

    def new_run(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> tuple[Run, Step]:
        """Return a DAG run and what creates it."""
        self._runs += 1
        step = Step("create", {"conf": dict(conf or {}), "number": self._runs})
        return Run(self, dag_id, f"lab_{self._runs}"), step

    def triggered_runs(self, dag_id: str) -> list[Run]:
        """Let the scheduler start the runs that asset events ask for, and return all such runs of a DAG, in order."""
        reply = self.ask("trigger_by_assets", Run(self, dag_id, ""), {})
        if reply["status"]:
            raise AssertionError(f"the lab couldn't start runs:\n{self.log_file.read_text()[-6000:]}")
        return [Run(self, dag_id, run_id) for run_id in reply["result"]]

    def ask(self, action: str, run: Run, environment: dict[str, str], **arguments: Any) -> dict[str, Any]:
        """Let a fresh process of the lab do something, and return its exit status and result."""
        return self._server.ask(
            action, self._environment | environment, dag_id=run.dag_id, run_id=run.run_id, **arguments
        )
