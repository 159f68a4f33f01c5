"""The upload page's workflow (upload, generate, poll, save) in a real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.lab import AirflowLab, Run

MODES = ("poke", "reschedule", "deferred")
GENERATION_KEYS = {
    "generation_id",
    "modality",
    "model",
    "key",
    "prompt_sha256",
    "requested",
    "quote",
    "reused",
    "status",
    "url",
    "urls",
    "outputs",
    "expires_at",
    "cost",
    "credits_cost",
    "usage",
    "created",
    "completed",
    "result",
}


@pytest.fixture
def conf(tmp_path: Path) -> dict[str, Any]:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (64, 64), (200, 30, 30)).save(reference)
    return {"reference": str(reference), "destination": (tmp_path / "pictures").as_uri()}


def finished(lab: AirflowLab, sandbox: Sandbox, dag_id: str, conf: dict[str, Any]) -> Run:
    run = lab.start_run(dag_id, conf)
    assert run.drive(sandbox.connection_json())
    return run


def without_times(generation: dict[str, Any]) -> dict[str, Any]:
    return {key: type(value) for key, value in generation.items()} | {
        "status": generation["status"],
        "model": generation["model"],
        "modality": generation["modality"],
        "kinds": [output["kind"] for output in generation["outputs"]],
    }


@pytest.mark.parametrize("dialect", ["current", "older"])
def test_every_mode_returns_the_same(lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], dialect: str) -> None:
    sandbox.configure(dialect=dialect)
    returned = []
    for number, mode in enumerate(MODES):
        run = finished(lab, sandbox, f"lab_sensor_{mode}", conf)
        generation = run.view("wait").returned
        saved = run.view("save").returned
        made = sandbox.generations[number]
        assert generation["generation_id"] == made.generation_id
        assert generation["urls"] == list(made.urls)
        assert generation.keys() == GENERATION_KEYS
        with Image.open(Path(saved[0].removeprefix("file://"))) as picture:
            assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.05)
        returned.append(without_times(generation))
    assert returned[0] == returned[1] == returned[2]
    assert sandbox.billed == len(MODES)


def test_both_dialects_return_the_same_shape(lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any]) -> None:
    shapes = []
    for dialect in ("current", "older"):
        sandbox.configure(dialect=dialect)
        generation = finished(lab, sandbox, "lab_sensor_deferred", conf).view("wait").returned
        shapes.append({key: generation[key] for key in ("modality", "model", "status")} | {"keys": set(generation)})
        assert generation["url"] == generation["urls"][0] == generation["outputs"][0]["url"]
        assert generation["expires_at"] is not None
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_generation_fails_the_sensor_at_once(
    lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str
) -> None:
    run = finished(lab, sandbox, f"lab_sensor_{mode}", conf | {"prompt": f"[sandbox: fail no {mode} today]"})
    view = run.view("wait")
    assert (view.state, view.try_number) == ("failed", 1)
    assert f"No {mode} today. The generation failed at APIMart (refunded)" in run.log
    assert (sandbox.accepted, sandbox.billed) == (1, 0)


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_skips_in_every_mode(lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str) -> None:
    run = finished(lab, sandbox, f"lab_sensor_{mode}_skips", conf | {"prompt": "[sandbox: fail]"})
    assert run.view("wait").state == "skipped"
    assert run.view("save").state == "skipped"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("skips", [False, True])
def test_the_timeout_counts_in_every_mode(
    lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str, skips: bool
) -> None:
    run = finished(lab, sandbox, f"lab_sensor_{mode}{'_skips' if skips else ''}", conf | {"prompt": "[sandbox: stuck]"})
    view = run.view("wait")
    assert (view.state, view.try_number) == ("skipped" if skips else "failed", 1)
    assert sandbox.accepted == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_few_failed_reads_are_tolerated(lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str) -> None:
    sandbox.inject(Fault("server_error", on="status", times=2), Fault("reset", on="status", times=1))
    run = finished(lab, sandbox, f"lab_sensor_{mode}", conf)
    view = run.view("wait")
    assert (view.state, view.try_number) == ("success", 1)


@pytest.mark.parametrize("mode", MODES)
def test_an_authentication_error_is_not_tolerated(
    lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str
) -> None:
    sandbox.inject(Fault("unauthorized", on="status", times=1))
    run = finished(lab, sandbox, f"lab_sensor_{mode}", conf)
    view = run.view("wait")
    assert (view.state, view.try_number) == ("failed", 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_new_generation_that_is_not_found_yet_is_waited_for(
    lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str
) -> None:
    sandbox.inject(Fault("task_not_found", on="status", times=9))
    run = lab.start_run(f"lab_sensor_{mode}", conf)
    assert run.drive(sandbox.connection_json(), policy={"max_requests": 2, "first": 0.1, "longest": 0.1})
    assert (run.view("wait").state, run.view("wait").try_number) == ("success", 1)


@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_generation_fails_the_sensor_without_a_retry(
    lab: AirflowLab, sandbox: Sandbox, conf: dict[str, Any], mode: str
) -> None:
    sandbox.inject(Fault("task_not_found", on="status", times=1_000))
    run = lab.start_run(f"lab_sensor_{mode}", conf)
    run.drive(sandbox.connection_json(), policy={"max_requests": 2, "first": 0.01, "longest": 0.01, "new_seconds": 0.0})
    view = run.view("wait")
    assert (view.state, view.try_number) == ("failed", 1)
    assert "ApimartGenerationNotFoundError" in run.log
