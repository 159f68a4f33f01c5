"""Asset events in a real Airflow: their content, and the start of a DAG that is scheduled on the asset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.sandbox.service.generations import GenerationView
from tests.lab import AirflowLab, Run


def produced(lab: AirflowLab, sandbox: Sandbox, dag_id: str, **conf: Any) -> Run:
    """Run a DAG that has outlets."""
    run = lab.start_run(dag_id, conf)
    assert run.drive(sandbox.connection_json())
    assert {view.state for view in run.views()} == {"success"}
    return run


def consumed(lab: AirflowLab, sandbox: Sandbox, dag_id: str) -> list[dict[str, Any]]:
    """Let the scheduler start the DAG that is scheduled on the asset, run it, and return what it was told."""
    (run,) = lab.triggered_runs(dag_id)
    assert run.drive(sandbox.connection_json())
    told: list[dict[str, Any]] = run.view("told").returned
    return told


def extra(made: GenerationView) -> dict[str, Any]:
    """Return what an event is to tell of one generation that isn't saved, but for the hour when its URLs die."""
    generation = {
        "generation_id": made.generation_id,
        "modality": "image",
        "model": made.model,
        "key": None,
        "status": "completed",
        "prompt_sha256": hashlib.sha256(made.payload["prompt"].encode()).hexdigest(),
        "requested": 1,
        "reused": None,
        "cost": float(made.cost),
        "files": [{"uri": url, "sha256": None, "bytes": None} for url in made.urls],
    }
    totals = {"generation_count": 1, "file_count": len(made.urls), "reused_count": 0, "cost": float(made.cost)}
    return {**totals, "destination": None, "ledger": None, "generations": [generation]}


def without_files(generation: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in generation.items() if key != "files"}


def without_hours(told: dict[str, Any]) -> dict[str, Any]:
    for generation in told["generations"]:
        for file in generation["files"]:
            assert file.pop("expires_at")
    return told


@pytest.mark.parametrize("kind", ["waiting", "deferred", "sensor"])
def test_a_dag_scheduled_on_the_asset_starts_and_receives_the_generation(
    lab: AirflowLab, sandbox: Sandbox, kind: str
) -> None:
    run = produced(lab, sandbox, f"lab_asset_{kind}")
    (made,) = sandbox.generations
    (event,) = run.asset_events()
    assert event["uri"] == f"lab_{kind}"
    assert without_hours(event["extra"]) == extra(made)
    assert [without_hours(told) for told in consumed(lab, sandbox, f"lab_asset_{kind}_consumer")] == [extra(made)]
    assert sandbox.billed == 1


def test_every_task_of_a_map_emits_an_event_of_its_own(lab: AirflowLab, sandbox: Sandbox) -> None:
    """Which of them the started run is told of is Airflow's to say: it takes those that came before it was queued."""
    run = produced(lab, sandbox, "lab_asset_mapped")
    made = {generation.generation_id: extra(generation) for generation in sandbox.generations}
    events = [without_hours(event["extra"]) for event in run.asset_events()]
    assert {event["generations"][0]["generation_id"]: event for event in events} == made
    assert len(events) == 2
    for told in consumed(lab, sandbox, "lab_asset_mapped_consumer"):
        assert without_hours(told) in made.values()


def test_an_alias_stands_for_nothing_where_nothing_is_saved(lab: AirflowLab, sandbox: Sandbox) -> None:
    run = produced(lab, sandbox, "lab_asset_alias_alone")
    assert run.asset_events() == []
    assert "The asset alias lab_nothing gets no event" in run.log


def test_a_map_saved_by_one_task_is_reported_in_one_event(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> None:
    produced(lab, sandbox, "lab_asset_saved", destination=f"{tmp_path.as_uri()}/")
    (told,) = consumed(lab, sandbox, "lab_asset_saved_consumer")
    assert told["generation_count"] == told["file_count"] == 2
    assert told["cost"] == float(sum(made.cost for made in sandbox.generations))
    by_id = {made.generation_id: made for made in sandbox.generations}
    for generation in told["generations"]:
        assert without_files(generation) == without_files(extra(by_id[generation["generation_id"]])["generations"][0])
        (file,) = generation["files"]
        content = Path(file["uri"].removeprefix("file://")).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["bytes"] == len(content)
        assert file["expires_at"] is None


def test_an_alias_stands_for_the_directory_into_which_was_saved(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path
) -> None:
    run = produced(lab, sandbox, "lab_asset_saved", destination=f"{tmp_path.as_uri()}/")
    assert [event["uri"] for event in run.asset_events()] == ["lab_saved", tmp_path.as_uri()]
    told = lab.triggered_runs("lab_asset_places_consumer")[-1]
    assert told.drive(sandbox.connection_json())
    # Airflow lists an event under the alias and under the asset.
    assert {each["destination"] for each in told.view("told").returned} == {f"{tmp_path.as_uri()}/"}


def test_the_example_gives_its_consumer_the_pictures_location(
    lab: AirflowLab, sandbox: Sandbox, tmp_path: Path
) -> None:
    produced(lab, sandbox, "example_apimart_assets", destination=tmp_path.as_uri())
    (file,) = tmp_path.glob("*.png")
    (run,) = lab.triggered_runs("example_apimart_assets_consumer")
    assert run.drive(sandbox.connection_json())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    line = f"{file.as_uri()} was made by {sandbox.generations[0].model}; its SHA-256 is {digest}"
    assert run.view("report").returned == [line]
