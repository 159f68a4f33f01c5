"""The side of a fork server that tests talk to. It imports no Airflow: that lives in the server's own processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
# A part of Airflow that waits in vain for SQLite's lock dies (seen: the triggerer), by default after 5 s.
_SECONDS_FOR_A_LOCK = 60


def bare_environment() -> dict[str, str]:
    """Return the variables of this process but those of its own Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}


def airflow_environment(home: Path, dags: Path) -> dict[str, str]:
    """Return the variables of a process whose Airflow is in a directory, whatever Airflow the tests' own may be."""
    return bare_environment() | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={_SECONDS_FOR_A_LOCK}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


class Template:
    """
    A folder with what all clients of one fork server share: Airflow's home with a migrated database, and DAGs.

    :param folder: A directory, made here; all processes that name the same one share the fork server.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = folder / "home"
        self.dags = folder / "dags"

    def connect(self) -> socket.socket:
        """Return a connection to the fork server, which is started unless it runs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            try:
                return self._connected()
            except (FileNotFoundError, ConnectionRefusedError):
                self._start()
                return self._connected()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int((self._folder / "port").read_text())))

    def _start(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.dags.mkdir(exist_ok=True)
        for folder in (PROJECT / "example_dags", PROJECT / "tests" / "dags"):
            # With the picture that the examples refer to.
            for file in (*folder.glob("*.py"), *folder.glob("*.jpg")):
                shutil.copy(file, self.dags)
        log_file = self._folder / "template.log"
        with log_file.open("a") as log:
            done = subprocess.run(
                [sys.executable, "-m", "tests.lab.template", str(self._folder)],
                cwd=PROJECT,
                env=airflow_environment(self.home, self.dags),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise AssertionError(f"the fork server didn't start:\n{log_file.read_text(errors='replace')[-6000:]}")


class ForkServer:
    """
    A process that has Airflow imported, and forks a child for everything that is asked of it.

    :param module: What its children do: ``actions`` or ``commands``; see :mod:`tests.lab.template`.
    :param template: What it shares with other clients.
    :param log_file: Where everything goes that is printed and not asked for.
    """

    def __init__(self, module: str, template: Template, log_file: Path) -> None:
        self.template = template
        self.log_file = log_file
        self._module = module

    def start(self) -> None:
        """Connect to the process, and return when it is ready to fork."""
        self._connection = self.template.connect()
        self._lines = self._connection.makefile("rw")
        self._send(str(self.log_file))

    def stop(self) -> None:
        """Let the process go: it ends with its last client."""
        self._lines.close()
        self._connection.close()

    def ask(self, action: str, environment: Mapping[str, str], **arguments: Any) -> dict[str, Any]:
        """
        Let a fresh child do something, and return its exit status and result.

        :param environment: Variables of the child, with those of its Airflow.
        """
        environment = dict(environment)
        return self._send(
            {"module": self._module, "action": action, "environment": environment, "arguments": arguments}
        )

    def _send(self, job: Any) -> dict[str, Any]:
        print(json.dumps(job), file=self._lines, flush=True)
        line = self._lines.readline()
        if not line:
            raise AssertionError(f"the fork server has died:\n{self.log_file.read_text(errors='replace')[-6000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
