"""The side of a fork server that tests talk to. It imports no Airflow: that lives in the server's own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
# A part of Airflow that waits in vain for SQLite's lock dies (seen: the triggerer), by default after 5 s.
_SECONDS_FOR_A_LOCK = 60


def bare_environment() -> dict[str, str]:
    """Return the variables of this process but those of its own Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}


def airflow_environment(home: Path, dags: Path) -> dict[str, str]:
    """Return the variables of a process whose Airflow lies in a directory, whatever Airflow the tests' own may be."""
    return bare_environment() | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={_SECONDS_FOR_A_LOCK}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


class ForkServer:
    """
    A process that has Airflow imported, and forks a child for everything that is asked of it.

    :param actions: The module of what it can do; see :mod:`tests.lab.template`.
    :param environment: Variables of the process, to which each child gets some of its own.
    :param log_file: Where everything goes that is printed and not asked for.
    """

    def __init__(self, actions: str, environment: Mapping[str, str], log_file: Path) -> None:
        self.log_file = log_file
        self._actions = actions
        self._environment = environment
        self._template: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, and return when it is ready to fork."""
        with self.log_file.open("a") as log:
            self._template = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.template", self._actions],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._answer()

    def stop(self) -> None:
        """Let the process end."""
        if self._template and self._template.stdin:
            self._template.stdin.close()
            self._template.wait(timeout=30)

    def ask(self, action: str, environment: Mapping[str, str], **arguments: Any) -> dict[str, Any]:
        """Let a fresh child do something, and return its exit status and result."""
        assert self._template is not None
        assert self._template.stdin is not None
        job = {"action": action, "environment": dict(environment), "arguments": arguments}
        self._template.stdin.write(json.dumps(job) + "\n")
        self._template.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._template is not None
        assert self._template.stdout is not None
        line = self._template.stdout.readline()
        if not line:
            raise AssertionError(f"the fork server has died:\n{self.log_file.read_text(errors='replace')[-6000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
