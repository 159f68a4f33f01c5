"""OpenLineage in a real Airflow: what its provider sends of a run of an example, written to a file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.lab.airflow_command import Airflow, AirflowCommands
from tests.lab.fork_server import PROJECT

DAG_ID = "example_apimart_assets"
# It starts a process of its own, which imports all of Airflow.
pytestmark = pytest.mark.long


def completed(events: Path) -> dict[str, Any]:
    """Return the event of each completed task."""
    told = map(json.loads, events.read_text().splitlines())
    return {event["job"]["name"]: event for event in told if event["eventType"] == "COMPLETE"}


def run_example(airflow: Airflow, sandbox: Sandbox, events: Path, destination: Path) -> None:
    """Run it in a process that has read nothing of the settings of OpenLineage's provider, which reads them once."""
    environment = airflow.environment | {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(events), "append": True}),
        "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
    }
    conf = json.dumps({"destination": destination.as_uri()})
    command = [sys.executable, "-m", "airflow", "dags", "test", DAG_ID, "--conf", conf]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_openlineage_receives_what_was_paid_for_and_what_was_saved(
    commands: AirflowCommands, sandbox: Sandbox, tmp_path: Path
) -> None:
    events, destination = tmp_path / "events.json", tmp_path / "saved"
    run_example(commands.airflow(tmp_path / "airflow", PROJECT / "example_dags"), sandbox, events, destination)
    told = completed(events)
    (made,) = sandbox.generations
    (file,) = destination.glob("*.png")

    generated, saved = told[f"{DAG_ID}.generate"], told[f"{DAG_ID}.save"]
    assert generated["outputs"] == []
    assert [(output["namespace"], output["name"]) for output in saved["outputs"]] == [("file", str(file))]
    assert saved["outputs"][0]["outputFacets"]["outputStatistics"]["size"] == file.stat().st_size
    for event in (generated, saved):
        facet = event["run"]["facets"]["apimart_generations"]
        assert (facet["generationCount"], facet["fileCount"], facet["cost"]) == (1, 1, float(made.cost))
        (generation,) = facet["generations"]
        assert (generation["generation_id"], generation["model"]) == (made.generation_id, made.model)
        assert generation["prompt_sha256"] == hashlib.sha256(made.payload["prompt"].encode()).hexdigest()
    assert generation["files"][0]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert made.payload["prompt"] not in json.dumps(generated["run"]["facets"]["apimart_generations"])
