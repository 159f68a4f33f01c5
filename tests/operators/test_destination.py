"""One operator from prompt to file: the generation is saved by the task that makes it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator, ApimartMusicGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.batch.bare import task_context

IMAGE = "gemini-3-pro-image-preview"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "download_policy", RetryPolicy(max_requests=2, seconds=2.0, first=0.01))
    sandbox.configure(seconds=0.05)


def image(destination: Path | str | None, **arguments: Any) -> ApimartImageGenerationOperator:
    given = {"model": IMAGE, "prompt": "a cat", "poll_interval": 0.05, **arguments}
    return ApimartImageGenerationOperator(
        task_id="generate", destination=None if destination is None else str(destination), **given
    )


def whole(files: list[dict[str, Any]]) -> list[Path]:
    """Return the saved files, each of which is what its details say."""
    paths = [Path(file["uri"].removeprefix("file://")) for file in files]
    for path, file in zip(paths, files, strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert path.stat().st_size == file["bytes"]
    return paths


def test_a_prompt_in_and_files_in_the_destination_out(sandbox: Sandbox, tmp_path: Path) -> None:
    made = image(tmp_path, n=3, filename="{ds}/{model}-{index}").execute(task_context())
    (generation,) = sandbox.generations
    assert [path.relative_to(tmp_path).as_posix() for path in whole(made["files"])] == [
        f"2026-01-01/{IMAGE}-{index}.png" for index in range(3)
    ]
    assert [file["generation_id"] for file in made["files"]] == [generation.generation_id] * 3
    assert made["urls"] == list(generation.urls)
    assert sandbox.billed == 1


def test_without_a_destination_nothing_is_saved(sandbox: Sandbox) -> None:
    assert "files" not in image(None).execute(task_context())
    assert not sandbox.file_requests


def test_a_deferred_generation_is_saved_by_the_worker(sandbox: Sandbox, tmp_path: Path) -> None:
    operator, context = image(tmp_path, deferrable=True), task_context()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)

    async def event() -> Any:
        return [each.payload async for each in deferred.value.trigger.run()].pop()

    made = operator.execute_complete(context, asyncio.run(event()))
    assert len(whole(made["files"])) == 1
    assert sandbox.billed == 1


def test_a_retry_saves_what_is_missing_at_no_cost(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(Fault("server_error", on="file", skip=1, times=2))
    with pytest.raises(errors.ApimartDownloadError):
        image(tmp_path, n=3).execute(task_context(1))
    made = image(tmp_path, n=3).execute(task_context(2))
    assert len(whole(made["files"])) == 3
    assert sandbox.billed == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"destination": "pictures"}, errors.ApimartInvalidRequestError),
        ({"destination": "file://pictures"}, errors.ApimartInvalidRequestError),
        ({"destination": "s3://"}, errors.ApimartInvalidRequestError),
        ({"destination": "/proc/pictures"}, errors.ApimartDestinationError),
        ({"filename": "{id:03d}"}, errors.ApimartInvalidRequestError),
        ({"filename": "{nothing}"}, errors.ApimartInvalidRequestError),
        ({"filename": None}, errors.ApimartInvalidRequestError),
        ({"allow_private_hosts": ["not a network/"]}, errors.ApimartInvalidRequestError),
        ({"allow_private_hosts": 5}, errors.ApimartInvalidRequestError),
        ({"apimart_conn_id": None}, errors.ApimartInvalidRequestError),
        ({"library": "file://library"}, errors.ApimartInvalidRequestError),
        ({"copy_reused": "no"}, errors.ApimartInvalidRequestError),
        ({"upload_references": "{{ params.upload }}"}, errors.ApimartInvalidRequestError),
    ],
)
def test_what_saving_will_need_is_tried_before_paying(
    sandbox: Sandbox, tmp_path: Path, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        image(**{"destination": tmp_path, **arguments}).execute(task_context())
    assert sandbox.accepted == 0


def test_a_destination_needs_the_wait(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="destination needs wait_for_completion"):
        image(tmp_path, wait_for_completion=False)


def test_a_result_inside_the_reply_is_saved(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(dialect="at_once")
    made = image(tmp_path).execute(task_context())
    assert len(whole(made["files"])) == 1
    assert not [request for request in sandbox.requests if request.route == "upload"]


def test_tracks_of_music_are_saved(sandbox: Sandbox, tmp_path: Path) -> None:
    operator = ApimartMusicGenerationOperator(
        task_id="generate", model="suno", prompt="rain", poll_interval=0.05, destination=str(tmp_path)
    )
    suffixes = {path.suffix for path in whole(operator.execute(task_context())["files"])}
    assert ".mp3" in suffixes
