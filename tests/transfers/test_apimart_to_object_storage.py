"""Saving results over real HTTP, with the operator's own code and no running Airflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from PIL import Image

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from tests.hooks.support import QUICK
from tests.transfers.support import Task, context

Make = Callable[..., dict[str, Any]]
IMAGE = {"model": "gemini-3-pro-image-preview", "prompt": "a cat"}


@pytest.fixture
def make(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes a finished generation."""
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "download_policy", QUICK)
    sandbox.configure(seconds=0.01)

    def made(modality: str = "image", **payload: Any) -> dict[str, Any]:
        hook = ApimartHook()
        body = IMAGE | payload if modality == "image" else payload
        submission = hook.submit_generation(modality, body, idempotency_key=uuid4().hex)
        generation_id = str(submission.generation.generation_id)
        return hook.wait_for_generation(generation_id, poll_interval=0.01).to_xcom()

    return made


def save(
    generation: Any, folder: Path, *, task: Task | None = None, ds: str | None = None, **arguments: Any
) -> list[Path]:
    operator = ApimartToObjectStorageOperator(
        task_id="save", generation=generation, destination=folder.as_uri(), **arguments
    )
    uris = operator.execute(context(task, ds=ds))
    return [Path(uri.removeprefix("file://")) for uri in uris]


def everything_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and ".apimart" not in path.parts]


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
    (video,) = save(generation, tmp_path)
    assert video.suffix == ".mp4"
    assert video.read_bytes()[4:8] == b"ftyp"


def test_a_bare_id_is_enough(make: Make, tmp_path: Path) -> None:
    generation = make()
    (saved,) = save(generation["generation_id"], tmp_path)
    assert saved.stem == f"{generation['generation_id']}_0"


def test_no_host_of_results_sees_the_key(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    save(make(), tmp_path)
    (request,) = sandbox.file_requests
    assert "Authorization" not in request.headers
    assert sandbox.api_key not in repr(request)


@pytest.mark.parametrize("kind", ["truncated", "reset", "server_error"])
def test_what_goes_wrong_once_is_made_good(make: Make, sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    generation = make()
    sandbox.inject(Fault(kind, on="file"))
    assert save(generation, tmp_path) == everything_below(tmp_path)


def test_a_file_that_is_not_whole_is_never_seen(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    sandbox.inject(Fault("reset", on="file", times=10))
    with pytest.raises(errors.ApimartDownloadError, match=r"broke off|didn't answer") as caught:
        save(generation, tmp_path)
    assert caught.value.generation_id == generation["generation_id"]
    assert everything_below(tmp_path) == []


def test_what_is_no_medium_is_refused_with_what_it_was(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make() | {"outputs": [{"url": f"{sandbox.base_url}/", "kind": "image"}]}
    with pytest.raises(errors.ApimartDownloadError, match="text/html"):
        save(generation, tmp_path)
    assert everything_below(tmp_path) == []


def test_an_expired_url_is_reported_as_such(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    sandbox.advance(25 * 3600)
    outputs = [output | {"expires_at": "2026-01-01T00:00:00+00:00"} for output in generation["outputs"]]
    with pytest.raises(errors.ApimartResultExpiredError, match="expired at 2026-01-01 00:00 UTC"):
        save(generation | {"outputs": outputs}, tmp_path)


def test_a_young_url_that_is_not_there_yet_is_asked_for_again(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    sandbox.inject(Fault("not_found", on="file"))
    assert save(generation, tmp_path) == everything_below(tmp_path)
    assert [request.status for request in sandbox.file_requests] == [404, 200]


def test_an_old_url_that_is_not_there_is_left_to_a_retry(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    generation["completed"] = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
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
def test_a_destination_that_cannot_be_written_is_reported_with_the_id(make: Make, destination: str) -> None:
    generation = make()
    operator = ApimartToObjectStorageOperator(task_id="save", generation=generation, destination=destination)
    with pytest.raises(errors.ApimartDestinationError, match=r"costs nothing|Install the Airflow provider") as caught:
        operator.execute(context())
    assert caught.value.generation_id == generation["generation_id"]


def test_a_relative_destination_is_refused_before_anything_is_fetched(make: Make, sandbox: Sandbox) -> None:
    operator = ApimartToObjectStorageOperator(task_id="save", generation=make(), destination="pictures")
    with pytest.raises(errors.ApimartInvalidRequestError, match="relative"):
        operator.execute(context())
    assert sandbox.file_requests == ()


def test_a_concurrency_of_none_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        errors.ApimartInvalidRequestError, match="concurrency must be a whole number of 1 or more, not 0"
    ):
        save(make(), tmp_path, concurrency=0)


def test_a_destination_with_a_space_is_taken_as_it_is(make: Make, tmp_path: Path) -> None:
    operator = ApimartToObjectStorageOperator(
        task_id="save", generation=make(), destination=f"file://{tmp_path}/my clone 100%"
    )
    (saved,) = operator.execute(context())
    assert everything_below(tmp_path / "my clone 100%") == [Path(saved.removeprefix("file://"))]


def test_a_list_is_saved_in_its_order(make: Make, tmp_path: Path) -> None:
    generations = [make(), make(n=2), make()["generation_id"]]
    saved = save(generations, tmp_path)
    ids = [generations[0]["generation_id"], *[generations[1]["generation_id"]] * 2, generations[2]]
    assert [path.stem.rpartition("_")[0] for path in saved] == ids
    assert sorted(everything_below(tmp_path)) == sorted(saved)


def test_a_rendered_list_is_saved(make: Make, tmp_path: Path) -> None:
    assert len(save(str([make(), make()]), tmp_path)) == 2


def test_nothing_is_saved_of_an_empty_list(make: Make, tmp_path: Path) -> None:
    assert save([], tmp_path) == []


def test_details_are_pushed(make: Make, tmp_path: Path) -> None:
    generation, task = make(n=2), Task()
    saved = save(generation, tmp_path, task=task)
    details = task.pushed["files"]
    assert [each["uri"] for each in details] == [path.as_uri() for path in saved]
    assert [each["sha256"] for each in details] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in saved]
    assert [each["bytes"] for each in details] == [path.stat().st_size for path in saved]
    assert [(each["generation_id"], each["index"], each["media_type"]) for each in details] == [
        (generation["generation_id"], index, "image/png") for index in range(2)
    ]


def test_a_retry_fetches_nothing_that_lies_there(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation, first, second = make(n=2), Task(), Task()
    assert save(generation, tmp_path, task=first) == save(generation, tmp_path, task=second)
    assert first.pushed == second.pushed
    assert len(sandbox.file_requests) == 2


def test_a_retry_fetches_what_was_cut_or_removed(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make(n=3)
    saved = save(generation, tmp_path)
    whole = saved[0].read_bytes()
    saved[0].write_bytes(whole[:-1])
    saved[1].unlink()
    assert save(generation, tmp_path) == saved
    assert saved[0].read_bytes() == whole
    assert len(sandbox.file_requests) == 5


def test_a_file_of_another_generation_is_neither_mistaken_for_ours_nor_replaced(
    make: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    first, second = make(prompt="a cat"), make(prompt="a dog")
    (cat,) = save(first, tmp_path, filename="latest")
    content = cat.read_bytes()
    (dog,) = save(second, tmp_path, filename="latest")
    assert dog.read_bytes() != content == cat.read_bytes()
    assert (save(first, tmp_path, filename="latest"), save(second, tmp_path, filename="latest")) == ([cat], [dog])
    assert len(sandbox.file_requests) == 2


def test_names_follow_the_template(make: Make, tmp_path: Path) -> None:
    generation = make(n=2)
    saved = save(
        generation,
        tmp_path,
        filename="{ds}/{dag_id}.{task_id}/{kind}-{index:02d}-{generation_id}",
        ds="2026-11-22",
    )
    assert [str(path.relative_to(tmp_path)) for path in saved] == [
        f"2026-11-22/pictures.save/image-0{index}-{generation['generation_id']}.png" for index in range(2)
    ]


@pytest.mark.parametrize("filename", ["{nope}", "{index!r}", "../{index}", "/{index}", "{index}/", ".{index}", "{"])
def test_a_bad_template_is_refused_before_anything_is_fetched(
    make: Make, sandbox: Sandbox, tmp_path: Path, filename: str
) -> None:
    generation = make()
    with pytest.raises(errors.ApimartInvalidRequestError, match="Nothing was sent or fetched"):
        save(generation, tmp_path, filename=filename)
    assert sandbox.file_requests == ()


def test_two_files_of_one_name_get_names_of_their_own(make: Make, tmp_path: Path) -> None:
    generations = [make(n=2), make()]
    saved = save(generations, tmp_path, filename="picture")
    assert len({*saved}) == 3
    assert "picture.png" in [path.name for path in saved]
    assert save(generations, tmp_path, filename="picture") == saved
    assert sorted(everything_below(tmp_path)) == sorted(saved)


def test_a_skipped_branch_is_left_out_with_a_word(make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for generation in ([make(), None], str([make(), None]), [[make()], None, "None", float("nan")]):
        assert len(save(generation, tmp_path)) == 1
        assert "entries of generation are None" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("nothing", [None, [None, None], "None", "[None, None]"])
def test_nothing_but_skipped_branches_is_an_error_by_name(make: Make, tmp_path: Path, nothing: Any) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=r"generation (is|are) None|of generation are None"):
        save(nothing, tmp_path)


def test_a_run_without_logical_date_names_its_day(make: Make, tmp_path: Path) -> None:
    operator = ApimartToObjectStorageOperator(
        task_id="save", generation=make(), destination=tmp_path.as_uri(), filename="{ds}/{index}"
    )
    run = SimpleNamespace(run_after=datetime(2026, 11, 25, 23, tzinfo=UTC))
    (uri,) = operator.execute(context(dag_run=run))
    assert uri.endswith("/2026-11-25/0.png")


def test_what_fails_keeps_nothing_else_from_being_saved(make: Make, tmp_path: Path) -> None:
    good, gone, bad = make(), make() | {"generation_id": None}, make()
    gone["outputs"][0]["url"] += ".nothing.png"
    bad["outputs"][0]["url"] = bad["outputs"][0]["url"].partition("/f/")[0]
    task = Task()
    with pytest.raises(errors.ApimartDownloadError, match="2 of 4 files") as caught:
        save([gone, good, bad, make()], tmp_path, task=task)
    assert not isinstance(caught.value, AirflowFailException)
    assert gone["outputs"][0]["url"] in str(caught.value)
    assert bad["generation_id"] in str(caught.value)
    assert len(everything_below(tmp_path)) == len(task.pushed["files"]) == 2


def test_a_url_that_is_gone_is_asked_for_once_more(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generation = make()
    generation["outputs"][0]["url"] += ".gone.png"
    assert len(save(generation, tmp_path)) == 1
    assert [request.status for request in sandbox.file_requests] == [404, 200]


def test_an_unknown_id_keeps_nothing_else_from_being_saved(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApimartHook, "status_policy", QUICK)
    with pytest.raises(errors.ApimartGenerationNotFoundError):
        save(["task_nothing", make()], tmp_path)
    assert len(everything_below(tmp_path)) == 1


def test_caps_are_reported_with_id_size_and_cap(make: Make, tmp_path: Path) -> None:
    generation = make()
    with pytest.raises(errors.ApimartResultRefusedError, match="max_file_bytes allows 1,000") as caught:
        save(generation, tmp_path, max_file_bytes=1000)
    assert caught.value.generation_id == generation["generation_id"]
    with pytest.raises(errors.ApimartResultRefusedError, match="max_total_bytes allows 150,000"):
        save([make(size="1:1") for _ in range(4)], tmp_path, max_total_bytes=150_000, concurrency=1)
    assert len(everything_below(tmp_path)) < 4


def test_the_unsaved_generations_of_a_batch_are_saved(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    generations = [make() for _ in range(3)]
    entries = [_line(name, each) for name, each in zip("abc", generations, strict=True)]
    entries[1]["files"] = [{"uri": "file:///there"}]
    entries.append({"id": "d", "position": 3, "status": "moderated"})
    ledger = tmp_path / "batch.ledger.jsonl"
    ledger.write_text("".join(f"{json.dumps(each)}\n" for each in entries))
    for given in (str(ledger), ledger, ObjectStoragePath(ledger.as_uri()), {"ledger": ledger.as_uri(), "completed": 3}):
        saved = save(given, tmp_path / "there", filename="{id}")
        assert [path.name for path in saved] == ["a.png", "c.png"]
    assert len(sandbox.file_requests) == 2


def test_what_a_killed_batch_left_can_be_saved(make: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    done = make()
    segments = tmp_path / ".apimart" / "batch"
    segments.mkdir(parents=True)
    running = {**_line("b", make()), "status": "running", "outputs": []}
    nothing_yet = {"id": "c", "position": 2, "status": "running"}
    (tmp_path / "batch.ledger.jsonl").write_text(f"{json.dumps(_line('a', done))}\n")
    (segments / "000002-x.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in (running, nothing_yet)))
    unsaved = ApimartHook().get_unsaved_generations(str(tmp_path / "batch.ledger.jsonl"))
    assert [each["id"] for each in unsaved] == ["a", "b"]
    assert len(save(unsaved, tmp_path / "there", filename="{id}_{index}")) == 2


def test_a_batch_without_items_has_nothing_to_save(make: Make, tmp_path: Path) -> None:
    assert save({"ledger": None, "items": 0}, tmp_path) == []


def test_a_ledger_that_is_not_there_is_reported(make: Make, tmp_path: Path) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=r"There is no ledger at .*nothing\.jsonl"):
        save(str(tmp_path / "nothing.jsonl"), tmp_path)


def _line(name: str, generation: dict[str, Any]) -> dict[str, Any]:
    kept = ("generation_id", "modality", "model", "status", "outputs", "cost", "completed")
    return {"id": name, "position": ord(name), "files": [], **{key: generation[key] for key in kept}}
