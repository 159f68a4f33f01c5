"""Each example DAG, run by Airflow's own ``airflow dags test`` against the sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import lacks, reason, running
from tests.lab.airflow_command import Airflow, AirflowCommands
from tests.lab.fork_server import PROJECT

EXAMPLES = {
    "example_apimart_image_to_image": 1,
    "example_apimart_text_to_image": 1,
    "example_apimart_text_to_video": 1,
    "example_apimart_music": 1,
    "example_apimart_mapped_prompts": 3,
    "example_apimart_hook_in_task": 1,
    "example_apimart_retry_policy": 1,
    "example_apimart_local_references": 1,
    "example_apimart_assets": 1,
    "example_apimart_balance": 1,
    "example_apimart_failure_callback": 1,
    "example_apimart_batch": 4,
    "example_apimart_batch_from_file": 2,
    "example_apimart_daily": 1,
    "example_apimart_images_to_video": 3,
    "example_apimart_products": 2,
    "example_apimart_quote": 3,
    "example_apimart_two_accounts": 2,
}
# They wait for a person, which this command can't be: see test_approval.
AWAIT_A_PERSON = {"example_apimart_approval"}
NEED_APPROVAL = {"example_apimart_quote"}
# Every example that pays also saves.
ENDINGS = {dag_id: [".png"] * images for dag_id, images in EXAMPLES.items()} | {
    "example_apimart_text_to_image": [".png"] * 2,
    "example_apimart_text_to_video": [".mp4"],
    "example_apimart_images_to_video": [".mp4", ".png", ".png"],
    "example_apimart_music": [".mp3", ".mp3", ".png", ".png", ".wav", ".wav"],
    "example_apimart_batch": [".html", ".jsonl", *[".png"] * 4],
    "example_apimart_batch_from_file": [".html", ".jsonl", ".jsonl", ".mp4", ".png"],
    "example_apimart_daily": [".html", ".jsonl", ".png"],
    "example_apimart_quote": [".html", ".jsonl", *[".png"] * 4],
}


@pytest.fixture(scope="module")
def airflow(commands: AirflowCommands, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    return commands.airflow(tmp_path_factory.mktemp("airflow") / "home", PROJECT / "example_dags")


def test_every_example_is_run() -> None:
    files = {path.stem for path in (PROJECT / "example_dags").glob("*.py")}
    assert files == EXAMPLES.keys() | AWAIT_A_PERSON


@pytest.mark.parametrize("dag_id", EXAMPLES)
def test_an_example_is_billed_as_expected(airflow: Airflow, sandbox: Sandbox, tmp_path: Path, dag_id: str) -> None:
    if dag_id in NEED_APPROVAL and lacks("approval task"):
        pytest.skip(reason("approval task"))
    conf = {"destination": (tmp_path / "saved").as_uri()}

    ended = airflow.run(
        *("dags", "test", dag_id, "--conf", json.dumps(conf)), AIRFLOW_CONN_APIMART_DEFAULT=sandbox.connection_json()
    )

    assert ended.status == 0, ended.output[-6000:]
    assert f"<DagRun {dag_id}" in ended.output
    assert "successful" in ended.output
    assert (sandbox.accepted, sandbox.billed) == (EXAMPLES[dag_id], EXAMPLES[dag_id])
    assert all(generation.status == "completed" for generation in sandbox.generations)
    # Receipts of what is saved are in a folder of their own.
    saved = [file for file in (tmp_path / "saved").rglob("*.*") if file.is_file() and ".apimart" not in file.parts]
    assert sorted(file.suffix for file in saved) == ENDINGS[dag_id]
    assert not any("Authorization" in request.headers for request in sandbox.file_requests)


def test_a_failure_says_what_failed_and_what_to_do(airflow: Airflow, sandbox: Sandbox) -> None:
    conf = json.dumps({"prompt": "[sandbox: fail out of paint]"})

    ended = airflow.run(
        *("dags", "test", "example_apimart_failure_callback", "--conf", conf),
        AIRFLOW_CONN_APIMART_DEFAULT=sandbox.connection_json(),
        COLUMNS="1000",
    )

    (generation,) = sandbox.generations
    told = " ".join(ended.output.split())
    assert f"Task generate of example_apimart_failure_callback failed. Generation: {generation.generation_id}." in told
    assert "Model: gemini-3-pro-image-preview. Reason: " in told
    assert "What to do: clear the task" in told
    # From 3.0 to 3.2 this command keeps the error from callbacks, as a worker doesn't.
    if not (3, 0) <= running < (3, 3):
        told_reason = "Out of paint. The generation failed at APIMart (refunded)"
        assert f"{told_reason} (generation {generation.generation_id}). What to do: clear the task to try once" in told
    assert sandbox.billed == 0


def test_the_examples_parse_without_connection_network_or_optional_dependency(
    airflow: Airflow,
) -> None:
    """Defining the DAGs imports neither an HTTP library nor what the sandbox draws with."""
    script = (
        "import sys, runpy, pathlib\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).glob('*.py')): runpy.run_path(str(path))\n"
        "print(sorted({'requests', 'aiohttp', 'PIL', 'av'} & set(sys.modules)))\n"
    )
    bare = (
        "import sys, airflow.providers.common.compat.sdk as sdk\n"
        "sdk.DAG, sdk.BaseOperator, sdk.BaseSensorOperator, sdk.Param, sdk.task\n"
    )
    folder = str(PROJECT / "example_dags")
    loaded, by_airflow = (
        subprocess.run(
            [sys.executable, "-c", code, folder], env=airflow.environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for code in (script, bare + script.splitlines()[-1])
    )
    assert loaded == by_airflow
