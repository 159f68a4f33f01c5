"""A newcomer's mistakes in a real Airflow: told before they are paid for, or refused and not retried."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import running
from tests.lab.airflow_command import Airflow, AirflowCommands

DAGS = Path(__file__).parent / "dags"
SINGLE = "Unknown parameter 'aspect_ration' for gemini-3-pro-image-preview (did you mean 'aspect_ratio'?)"
BATCH = "Unknown parameter 'promt' for gemini-3-pro-image-preview (did you mean 'prompt'?) in items 'b', 'c'"


@pytest.fixture
def airflow(commands: AirflowCommands, tmp_path: Path) -> Airflow:
    return commands.airflow(tmp_path / "airflow", DAGS)


def test_by_default_mistakes_are_in_the_log(airflow: Airflow, sandbox: Sandbox) -> None:
    said = airflow.run("dags", "test", "checked_warn", AIRFLOW_CONN_APIMART_DEFAULT=sandbox.connection_json()).output
    assert SINGLE in said
    assert BATCH in said
    assert sandbox.billed == 4, said[-4000:]
    assert Counter(request.route for request in sandbox.requests)["models"] <= 2


def test_refused_mistakes_cost_nothing_and_are_not_retried(airflow: Airflow, sandbox: Sandbox) -> None:
    said = airflow.run("dags", "test", "checked_refuse", AIRFLOW_CONN_APIMART_DEFAULT=sandbox.connection_json()).output
    # This command of Airflow 3.0 doesn't print the errors of tasks.
    if running != (3, 0):
        assert f"{BATCH}. Nothing was sent" in said, said[-4000:]
        assert SINGLE in said
    assert {request.route for request in sandbox.requests} == {"models"}
    # One read for each task, unless both ran in one process: neither was tried again.
    assert len(sandbox.requests) <= 2
    assert sandbox.accepted == 0
