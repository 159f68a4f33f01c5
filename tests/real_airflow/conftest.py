"""Fixtures of tests with a real Airflow."""

from __future__ import annotations

import pytest

from tests.lab.airflow_command import Airflow, AirflowCommands
from tests.lab.fork_server import PROJECT


@pytest.fixture(scope="module")
def airflow(commands: AirflowCommands, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Provide an Airflow that knows the DAGs of the tests."""
    return commands.airflow(tmp_path_factory.mktemp("airflow") / "home", PROJECT / "tests" / "dags")
