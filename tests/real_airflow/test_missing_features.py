"""Behaviour without features that a version of Airflow lacks. Each test runs on every version."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.record_choice import record_of
from airflow_provider_apimart.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.triggers.generation import ApimartGenerationTrigger
from tests.airflow_versions import lacks, running
from tests.lab.airflow_command import Airflow
from tests.lab.fork_server import PROJECT, airflow_environment
from tests.real_airflow.dag_test import DagTest


def answer(script: str, home: Path, *arguments: str) -> Any:
    """Return what a script prints last, as JSON, in an Airflow of this version that has done nothing yet."""
    command = [sys.executable, "-c", script, *arguments]
    environment = airflow_environment(home, PROJECT / "tests" / "dags")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def listed_dags(home: Path) -> dict[str, Any]:
    """Return what an Airflow of this version makes of the example DAGs, and their import errors."""
    script = (
        "import json, sys\n"
        "from airflow.models import DagBag\n"
        "bag = DagBag(sys.argv[1])\n"
        "tasks = {dag_id: sorted(dag.task_ids) for dag_id, dag in bag.dags.items()}\n"
        "print(json.dumps({'dags': tasks, 'errors': bag.import_errors}))\n"
    )
    listed: dict[str, Any] = answer(script, home, str(PROJECT / "example_dags"))
    return listed


def form_fields(home: Path) -> set[str]:
    """Return the extra fields of the connection's form, as the pages of this version ask for them."""
    script = (
        "import json\n"
        "try:\n"
        "    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService\n"
        "except ImportError:\n"
        "    from airflow.providers_manager import ProvidersManager\n"
        "    widgets = ProvidersManager().connection_form_widgets.values()\n"
        "    fields = [each.field_name for each in widgets if each.hook_class_name == 'ApimartHook']\n"
        "else:\n"
        "    forms = {each.connection_type: each.extra_fields for each in HookMetaService.hook_meta_data()}\n"
        "    fields = list(forms['apimart'] or ())\n"
        "print(json.dumps(fields))\n"
    )
    return set(answer(script, home))


class _TaskInstance:
    dag_id, run_id, task_id, map_index, max_tries, try_number = "dag", "run", "task", -1, 0, 1


def test_without_a_state_store_the_record_lies_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As below Airflow 3.3."""
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(tmp_path))
    record = record_of({"ti": _TaskInstance()})  # type: ignore[typeddict-item]  # all that is read of them
    record.note(FactKind.DELIVERED, key="k", clear_marker=0)
    assert len(list(tmp_path.glob("records/*/dag.task.run.*/*.facts"))) == 1


def test_a_trigger_without_a_kill_callback_is_still_a_trigger() -> None:
    """Below Airflow 3.3 a person who clears a deferred task isn't told in the log that the generation goes on."""
    assert hasattr(BaseTrigger, "on_kill") is not lacks("trigger on_kill")
    path, arguments = ApimartGenerationTrigger("task_1", 0.0).serialize()
    assert path.endswith(ApimartGenerationTrigger.__name__)
    assert ApimartGenerationTrigger(**arguments).serialize() == (path, arguments)


def test_the_connection_form_has_the_fields_that_the_version_has_widgets_for(tmp_path: Path) -> None:
    """Airflow 3.0 has none for any provider, unless that of FAB is installed; before 3.2 there is none for lists."""
    fields = set(CONNECTION_FIELDS)
    if lacks("connection form from the provider's description"):
        fields = set() if running == (3, 0) else fields - {"headers"}
    assert form_fields(tmp_path) == fields
    # Where a field has no widget, it is written as JSON.
    assert json.loads(UI_FIELD_BEHAVIOUR["placeholders"]["extra"]).keys() == CONNECTION_FIELDS.keys()


def test_every_example_can_be_parsed_and_the_approval_is_absent_where_there_is_none(tmp_path: Path) -> None:
    listed = listed_dags(tmp_path)
    assert listed["errors"] == {}
    files = {path.stem for path in (PROJECT / "example_dags").glob("*.py")}
    absent = {"example_apimart_approval", "example_apimart_quote"} if lacks("approval task") else set()
    assert files - listed["dags"].keys() == absent


@pytest.mark.parametrize("dag_id", ["lab_asset_waiting", "lab_asset_saved"])
def test_asset_events_carry_the_generation(airflow: Airflow, sandbox: Sandbox, tmp_path: Path, dag_id: str) -> None:
    """On Airflow 2.11 an asset is a dataset, and its event tells the same."""
    run = DagTest(airflow, sandbox, dag_id, "2026-02-05")
    assert run.run({"destination": (tmp_path / "saved").as_uri()}) == 0, run.log[-6000:]
    table = "dataset_event" if lacks("assets by that name") else "asset_event"
    with closing(sqlite3.connect(Path(airflow.environment["AIRFLOW_HOME"]) / "airflow.db")) as database:
        rows = database.execute(f"SELECT extra FROM {table} WHERE source_dag_id = ?", [dag_id]).fetchall()
    assert rows
    made = {generation.generation_id for generation in sandbox.generations}
    assert all(any(generation_id in str(extra) for generation_id in made) for (extra,) in rows)
