"""Run the DAGs of the folder ``dags`` in an Airflow of the tests' own, against the sandbox."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox

pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]
DAGS = Path(__file__).parent / "dags"


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Create an Airflow with an empty database, and return the environment variables of its commands."""
    home = tmp_path_factory.mktemp("airflow")
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True)
    return environment


@pytest.fixture
def run_dag(airflow_environment: dict[str, str], apimart_sandbox: Sandbox) -> Callable[..., str]:
    """Return a function that runs a DAG to its end and returns its log."""

    def run(dag_id: str, **conf: str) -> str:
        command = [sys.executable, "-m", "airflow", "dags", "test", dag_id, "--conf", json.dumps(conf)]
        environment = airflow_environment | {"AIRFLOW_CONN_APIMART_DEFAULT": apimart_sandbox.connection_json()}
        ended = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return ended.stdout

    return run
