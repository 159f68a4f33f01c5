"""Airflow's own commands, each in a process that needn't import Airflow first. They are what ``airflow ...`` runs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.airflow_versions import running
from tests.lab.fork_server import ForkServer, Template, airflow_environment


@dataclass(frozen=True)
class Ended:
    """
    How a command ended.

    :param status: Its exit status, negative if a signal killed it.
    :param output: All that it printed.
    """

    status: int
    output: str


class Airflow:
    """
    An Airflow with a home, a migrated database and an environment that no other test has.

    :param environment: Variables of its processes, for whoever starts one.
    """

    def __init__(self, server: ForkServer, environment: dict[str, str]) -> None:
        self._server = server
        self.environment = environment

    def run(self, *arguments: str, crash: str | None = None, **environment: str) -> Ended:
        """
        Run a command to its end, or to a crash.

        :param crash: Name of the crash point at which the process kills itself; see :mod:`tests.lab.crash_points`.
        :param environment: Variables of the process beside those of this Airflow.
        """
        with tempfile.NamedTemporaryFile() as file:
            reply = self._server.ask(
                "run", self.environment | environment, arguments=arguments, output=file.name, crash=crash
            )
            return Ended(reply["status"], Path(file.name).read_text(errors="replace"))


class AirflowCommands:
    """
    Makes an Airflow for each test that asks for one.

    :param server: Whose children the commands are.
    """

    def __init__(self, server: ForkServer) -> None:
        self._server = server

    def airflow(self, home: Path, dags: Path) -> Airflow:
        """
        Return an Airflow that is ready to run DAGs: it knows them and their outlets.

        :param home: Its directory, made here.
        """
        shutil.copytree(self._server.template.home, home)
        airflow = Airflow(self._server, airflow_environment(home, dags))
        # Airflow 2's command line has looked up its folder of DAGs before the fork.
        where = ("--subdir", str(dags)) if running < (3, 0) else ()
        known = airflow.run("dags", "reserialize", *where)
        assert known.status == 0, known.output
        return airflow


@contextmanager
def airflow_commands(template: Template, log_file: Path) -> Iterator[AirflowCommands]:
    """Provide Airflow's commands for as long as it lasts."""
    server = ForkServer("commands", template, log_file)
    server.start()
    try:
        yield AirflowCommands(server)
    finally:
        server.stop()
