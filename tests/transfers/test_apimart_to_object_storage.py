"""Saving results over real HTTP, with the operator's own code and no running Airflow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

Make = Callable[..., dict[str, Any]]
IMAGE = {"model": "gemini-3-pro-image-preview", "prompt": "a cat"}


@pytest.fixture
def make(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a finished generation."""
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    sandbox.configure(seconds=0.01)

    def made(modality: str = "image", **payload: Any) -> dict[str, Any]:
        hook = ApimartHook()
        body = IMAGE | payload if modality == "image" else payload
        submission = hook.submit_generation(modality, body, idempotency_key=uuid4().hex)
        generation_id = str(submission.generation.generation_id)
        return hook.wait_for_generation(generation_id, poll_interval=0.01).to_xcom()

    return made


def save(generation: Any, folder: Path) -> list[Path]:
    operator = ApimartToObjectStorageOperator(task_id="save", generation=generation, destination=folder.as_uri())
    uris = operator.execute({})  # type: ignore[typeddict-item]  # this operator needs nothing of the context
    return [Path(uri.removeprefix("file://")) for uri in uris]


def everything_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_every_output_is_saved_in_order(make: Make, tmp_path: Path) -> None:
    generation = make(n=3, size="1:1")
    saved = save(generation, tmp_path / "deep" / "down")
    assert [path.name for path in saved] == [f"{generation['generation_id']}_{index}.png" for index in range(3)]
    for path in saved:
        with Image.open(path) as picture:
            assert picture.width == picture.height
    assert sorted(everything_below(tmp_path)) == sorted(saved)


def test_a_clip_gets_the_ending_of_its_content(make: Make, tmp_path: Path) -> None:
    generation = make("video", model="kling-v2-6", prompt="a boat", duration=5)
    (clip,) = save(generation, tmp_path)
    assert clip.suffix == ".mp4"
    assert clip.read_bytes()[4:8] == b"ftyp"


def test_a_bare_id_is_enough(make: Make, tmp_path: Path) -> None:
    generation = make()
    (saved,) = save(generation["generation_id"], tmp_path)
    assert saved.stem == f"{generation['generation_id']}_0"


def test_no_host_of_results_sees_the_key(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    save(make(), tmp_path)
    (request,) = sandbox.file_requests
    assert "Authorization" not in request.headers
    assert sandbox.api_key not in repr(request)


def test_a_retry_replaces_what_it_finds(make: Make, tmp_path: Path) -> None:
    generation = make()
    assert save(generation, tmp_path) == save(generation, tmp_path) == everything_below(tmp_path)


@pytest.mark.parametrize("kind", ["truncated", "reset", "server_error", "html_error"])
def test_a_file_that_is_not_whole_is_never_seen(make: Make, sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    generation = make()
    sandbox.inject(Fault(kind, on="file"))
    with pytest.raises(errors.ApimartDownloadError):
        save(generation, tmp_path)
    assert everything_below(tmp_path) == []
    assert save(generation, tmp_path) == everything_below(tmp_path)


def test_what_is_no_medium_is_refused_with_what_it_was(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make() | {"outputs": [{"url": f"{sandbox.base_url}/", "kind": "image"}]}
    with pytest.raises(errors.ApimartDownloadError, match="text/html"):
        save(generation, tmp_path)
    assert everything_below(tmp_path) == []


def test_an_expired_url_is_told_as_such(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    sandbox.advance(25 * 3600)
    outputs = [output | {"expires_at": "2026-01-01T00:00:00+00:00"} for output in generation["outputs"]]
    with pytest.raises(errors.ApimartResultExpiredError, match="over since 2026-01-01"):
        save(generation | {"outputs": outputs}, tmp_path)


def test_a_url_that_is_not_there_yet_is_tried_again(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    sandbox.inject(Fault("not_found", on="file"))
    with pytest.raises(errors.ApimartDownloadError, match="fetches it again"):
        save(generation, tmp_path)
    assert save(generation, tmp_path) == everything_below(tmp_path)


def test_results_without_an_id_do_not_overwrite_each_other(make: Make, tmp_path: Path) -> None:
    first, second = (make(prompt=prompt) | {"generation_id": None} for prompt in ("a cat", "a dog"))
    assert save(first, tmp_path) != save(second, tmp_path)
    assert len(everything_below(tmp_path)) == 2


def test_a_failed_generation_has_nothing_to_save(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(errors.ApimartGenerationFailedError):
        make(prompt="[sandbox: fail no luck]")
    with pytest.raises(errors.ApimartWatchedGenerationFailedError, match="no luck"):
        save(sandbox.generations[0].generation_id, tmp_path)


def test_a_running_generation_is_refused(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=1000)
    submission = ApimartHook().submit_generation("image", IMAGE, idempotency_key="k")
    with pytest.raises(errors.ApimartInvalidRequestError, match="ApimartGenerationSensor"):
        save(submission.generation.to_xcom(), tmp_path)


def test_no_id_leaves_the_destination(make: Make, tmp_path: Path) -> None:
    generation = make() | {"generation_id": "../../outside/task"}
    (saved,) = save(generation, tmp_path / "inside")
    assert saved.parent == tmp_path / "inside"
    assert everything_below(tmp_path) == [saved]


@pytest.mark.parametrize("destination", ["file:///proc/nowhere", "nosuch://x/y"])
def test_a_destination_that_cannot_be_written_is_told_with_the_id(make: Make, destination: str) -> None:
    generation = make()
    operator = ApimartToObjectStorageOperator(task_id="save", generation=generation, destination=destination)
    with pytest.raises(errors.ApimartDestinationError, match="costs nothing") as caught:
        operator.execute({})  # type: ignore[typeddict-item]  # this operator needs nothing of the context
    assert caught.value.generation_id == generation["generation_id"]


def test_a_relative_destination_is_refused_before_anything_is_fetched(make: Make, sandbox: Sandbox) -> None:
    operator = ApimartToObjectStorageOperator(task_id="save", generation=make(), destination="pictures")
    with pytest.raises(errors.ApimartInvalidRequestError, match="relative"):
        operator.execute({})  # type: ignore[typeddict-item]  # this operator needs nothing of the context
    assert sandbox.file_requests == ()


def test_a_destination_with_a_space_is_taken_as_it_is(make: Make, tmp_path: Path) -> None:
    operator = ApimartToObjectStorageOperator(
        task_id="save", generation=make(), destination=f"file://{tmp_path}/my clone 100%"
    )
    (saved,) = operator.execute({})  # type: ignore[typeddict-item]  # this operator needs nothing of the context
    assert everything_below(tmp_path / "my clone 100%") == [Path(saved.removeprefix("file://"))]


def test_what_a_mapped_task_returned_is_mapped_on(make: Make, tmp_path: Path) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match="expand"):
        save([make(), make()], tmp_path)
