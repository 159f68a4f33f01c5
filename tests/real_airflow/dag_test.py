"""Airflow's own ``airflow dags test``, as often as a test asks for it."""

from __future__ import annotations

import json

from airflow_provider_apimart.sandbox import Sandbox
from tests.lab.airflow_command import Airflow


class DagTest:
    """
    One DAG run, made by ``airflow dags test``, as often as it is asked for.

    :param day: Its logical date, which no other test has.
    """

    def __init__(self, airflow: Airflow, sandbox: Sandbox, dag_id: str, day: str) -> None:
        self._airflow = airflow
        self._connection = sandbox.connection_json()
        self._arguments = ["dags", "test", dag_id, day]
        self.log = ""

    def run(self, conf: dict[str, str] | None = None, *, crash: str | None = None) -> int:
        """Run the DAG to its end or to a crash, and return how the command ended."""
        arguments = [*self._arguments, "--conf", json.dumps(conf or {})]
        ended = self._airflow.run(*arguments, crash=crash, AIRFLOW_CONN_APIMART_DEFAULT=self._connection)
        self.log += ended.output
        return ended.status
