"""Airflow's own ``airflow dags test``, as often as a test asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow_provider_apimart.sandbox import Sandbox
from tests.lab.airflow_lab import PROJECT


def environment_of(home: Path) -> dict[str, str]:
    """Return the variables of a process with an Airflow of its own, which knows the DAGs of the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "tests" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def migrated(home: Path) -> dict[str, str]:
    """Make the database of an Airflow that knows the DAGs of the tests, and return the variables of its processes."""
    environment = environment_of(home)
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([sys.executable, "-m", "airflow", *command], env=environment, check=True, capture_output=True)
    return environment


class DagTest:
    """
    One DAG run, made by ``airflow dags test``, as often as it is asked for.

    :param day: Its logical date, which no other test has.
    """

    def __init__(self, environment: dict[str, str], sandbox: Sandbox, dag_id: str, day: str) -> None:
        self._environment = environment | {"AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json()}
        self._arguments = ["dags", "test", dag_id, day]
        self.log = ""

    def run(self, conf: dict[str, str] | None = None, *, crash: str = "") -> int:
        """Run the DAG to its end or to a crash, and return how the command ended."""
        command = [sys.executable, "-m", "tests.real_airflow.armed_airflow", crash, *self._arguments]
        done = subprocess.run(
            [*command, "--conf", json.dumps(conf or {})],
            cwd=PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += done.stdout + done.stderr
        return done.returncode
