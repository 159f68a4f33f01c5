"""What holds where a version of Airflow lacks something that the provider uses. Each test runs on every version."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.triggers.base import BaseTrigger

from airflow_provider_apimart.durable.store import task_state_store
from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.triggers.generation import ApimartGenerationTrigger
from tests.airflow_versions import lacks
from tests.lab.airflow_command import Airflow
from tests.lab.fork_server import PROJECT, airflow_environment
from tests.real_airflow.dag_test import DagTest


def listed_dags(home: Path) -> dict[str, Any]:
    """Return what an Airflow of this version makes of the example DAGs, and their import errors."""
    script = (
        "import json, sys\n"
        "from airflow.models import DagBag\n"
        "bag = DagBag(sys.argv[1])\n"
        "tasks = {dag_id: sorted(dag.task_ids) for dag_id, dag in bag.dags.items()}\n"
        "print(json.dumps({'dags': tasks, 'errors': bag.import_errors}))\n"
    )
    command = [sys.executable, "-c", script, str(PROJECT / "example_dags")]
    done = subprocess.run(
        command, env=airflow_environment(home, PROJECT / "tests" / "dags"), capture_output=True, text=True, check=True
    )
    listed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return listed


def test_without_a_state_store_nothing_is_kept() -> None:
    """What then protects is tested in :mod:`tests.real_airflow.test_dags_test` and, simulated, in the lab's tests."""
    assert task_state_store({}) is None  # type: ignore[typeddict-item]  # as below Airflow 3.3


def test_a_trigger_that_is_never_told_of_a_kill_is_a_trigger_all_the_same() -> None:
    """Below Airflow 3.3 a person who clears a deferred task isn't told in the log that the generation goes on."""
    assert hasattr(BaseTrigger, "on_kill") is not lacks("trigger on_kill")
    path, arguments = ApimartGenerationTrigger("task_1", 0.0).serialize()
    assert path.endswith(ApimartGenerationTrigger.__name__)
    assert ApimartGenerationTrigger(**arguments).serialize() == (path, arguments)


def test_the_connection_form_names_its_fields_from_either_source() -> None:
    """Below Airflow 3.2 the hook describes the form, and the extra is JSON with an example in place of fields."""
    behaviour = ProvidersManager().field_behaviours["apimart"]
    assert behaviour["relabeling"] == {"password": "API Key", "host": "Base URL"}
    assert json.loads(behaviour["placeholders"]["extra"]).keys() == {
        "timeout",
        "upload_timeout",
        "verify",
        "proxy",
        "headers",
    }
    fields = [name for name in ProvidersManager().connection_form_widgets if "apimart" in name]
    assert bool(fields) is not lacks("connection form from the provider's description")


def test_every_example_can_be_parsed_and_the_approval_is_absent_where_there_is_none(tmp_path: Path) -> None:
    listed = listed_dags(tmp_path)
    assert listed["errors"] == {}
    files = {path.stem for path in (PROJECT / "example_dags").glob("*.py")}
    absent = {"example_apimart_approval"} if lacks("approval task") else set()
    assert files - listed["dags"].keys() == absent


@pytest.mark.parametrize("dag_id", ["lab_asset_waiting", "lab_asset_saved"])
def test_asset_events_tell_of_the_generation(airflow: Airflow, sandbox: Sandbox, tmp_path: Path, dag_id: str) -> None:
    """On Airflow 2.11 an asset is a dataset, and its event tells the same."""
    run = DagTest(airflow, sandbox, dag_id, "2026-02-05")
    assert run.run({"destination": (tmp_path / "saved").as_uri()}) == 0, run.log[-6000:]
    table = "dataset_event" if lacks("assets by that name") else "asset_event"
    with closing(sqlite3.connect(Path(airflow.environment["AIRFLOW_HOME"]) / "airflow.db")) as database:
        rows = database.execute(f"SELECT extra FROM {table} WHERE source_dag_id = ?", [dag_id]).fetchall()
    assert rows
    made = {generation.generation_id for generation in sandbox.generations}
    assert all(any(generation_id in str(extra) for generation_id in made) for (extra,) in rows)
