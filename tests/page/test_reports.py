"""Entries that tasks write into the index while they run and when they end."""

from __future__ import annotations

import asyncio
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.batch.interruption import Interruption
from airflow_provider_apimart.batch.task_try import run_try
from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent
from airflow_provider_apimart.page_index.entry import Kind, State
from airflow_provider_apimart.page_index.generations import shown_request
from airflow_provider_apimart.page_index.writing import IndexFile
from airflow_provider_apimart.plugin.generations import merged
from airflow_provider_apimart.plugin.index import Index, Known
from airflow_provider_apimart.plugin.ledgers import Ledgers
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from tests.batch.support import as_plan, make, settings
from tests.page import content


@pytest.fixture
def index(place: Path) -> Index:
    """Provide the index, listed anew each time."""
    return Index(clock=iter(range(0, 10**9, 60)).__next__)


def only(index: Index, kind: Kind) -> Known:
    """Return the only entry of a kind."""
    (found,) = (known for known in index.entries().values() if known.entry.kind is kind)
    return found


def spent(index: Index) -> Decimal:
    """Return the dollars of all entries."""
    return sum((row.cost for known in index.entries().values() for row in known.entry.spending), Decimal(0))


def test_a_batch_is_reported_while_it_runs(place: Path, index: Index, tmp_path: Path) -> None:
    with Sandbox(SandboxSettings(seconds=600)) as apimart:
        running = threading.Thread(target=make, args=(apimart, tmp_path / "files", [str(each) for each in range(5)]))
        running.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            entries = [known.entry for known in index.entries().values()]
            if entries and entries[0].in_flight == 5:
                break
            time.sleep(0.2)
        (entry,) = entries
        assert (entry.state, entry.in_flight, entry.kind) == (State.RUNNING, 5, Kind.BATCH)
        # Its items are known before there is a ledger. The record of their submits is written within a second.
        while {item.status for item in Ledgers().items(entry).all} != {"running"}:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert len(Ledgers().items(entry).all) == 5
        apimart.complete_all()
        running.join(60)
    entry = only(index, Kind.BATCH).entry
    assert entry.state is State.FINISHED
    assert entry.counts is not None
    assert entry.counts["completed"] == 5
    assert entry.cost == spent(index) == apimart.dollars


def test_a_batch_that_is_interrupted_says_so(apimart: Sandbox, place: Path, index: Index, tmp_path: Path) -> None:
    interruption = Interruption()
    with Sandbox(SandboxSettings(seconds=600)) as held:
        threading.Timer(1.5, interruption.interrupt).start()
        with pytest.raises(asyncio.CancelledError):
            run_try(as_plan(["a"]), settings(held), str(tmp_path / "files"), None, interruption)
    assert only(index, Kind.BATCH).entry.state is State.INTERRUPTED


def test_a_batch_that_is_interrupted_says_what_it_has_paid(
    apimart: Sandbox, place: Path, index: Index, tmp_path: Path
) -> None:
    interruption = Interruption()

    def interrupt() -> None:
        while sum(generation.status == "completed" for generation in apimart.generations) < 5:
            time.sleep(0.05)
        time.sleep(0.5)
        interruption.interrupt()

    threading.Thread(target=interrupt).start()
    with pytest.raises(asyncio.CancelledError):
        run_try(
            as_plan([*"abcde", "[sandbox: stuck] f"]), settings(apimart), str(tmp_path / "files"), None, interruption
        )
    entry = only(index, Kind.BATCH).entry
    assert entry.counts is not None
    assert (entry.state, entry.counts["completed"], entry.counts["running"]) == (State.INTERRUPTED, 5, 1)
    # The sixth is charged too, but its cost isn't known before it ends.
    assert entry.cost == spent(index) == apimart.dollars * 5 / 6


def test_a_batch_whose_record_cannot_be_written_says_why(
    apimart: Sandbox, place: Path, index: Index, tmp_path: Path
) -> None:
    (tmp_path / "files").write_text("a file where a directory should be")
    with pytest.raises(errors.ApimartDestinationError):
        make(apimart, tmp_path / "files", ["a"])
    entry = only(index, Kind.BATCH).entry
    assert entry.state is State.INTERRUPTED
    assert "can't be kept" in (entry.reason or "")


def test_what_was_paid_in_an_earlier_try_counts(apimart: Sandbox, place: Path, index: Index, tmp_path: Path) -> None:
    make(apimart, tmp_path, [{"id": "a", "prompt": "a fox"}])
    make(apimart, tmp_path, [{"id": "a", "prompt": "a heron"}, {"id": "b", "prompt": "a boat"}])
    assert apimart.billed == 3
    assert spent(index) == apimart.dollars


@pytest.mark.parametrize("saves", [True, False])
def test_a_generation_is_reported_with_its_request_and_cost(
    apimart: Sandbox, place: Path, index: Index, tmp_path: Path, saves: bool
) -> None:
    where: dict[str, Any] = {"destination": tmp_path.as_uri()} if saves else {}
    content.generation("posters", prompt="A fox", size="16:9", **where)
    known = only(index, Kind.GENERATION)
    assert known.item
    assert (known.item.status, known.item.prompt, len(known.item.files)) == ("completed", "A fox", int(saves))
    assert index.said(known)["request"] == {"size": "16:9"}
    assert spent(index) == apimart.dollars


def test_two_generations_of_a_cleared_task_both_count(apimart: Sandbox, place: Path, index: Index) -> None:
    for prompt in ("A fox", "Another fox"):
        content.generation("posters", prompt=prompt)
    assert apimart.billed == 2
    assert spent(index) == apimart.dollars


@pytest.mark.parametrize(
    ("prompt", "status"), [("[sandbox: fail out of paint]", "failed"), ("x [sandbox: moderation]", "moderated")]
)
def test_a_failure_is_reported_and_costs_nothing(
    apimart: Sandbox, place: Path, index: Index, prompt: str, status: str
) -> None:
    with pytest.raises(errors.ApimartError):
        content.generation("posters", prompt=prompt)
    known = only(index, Kind.GENERATION)
    assert known.item
    assert known.item.status == status
    assert known.item.generation_id == apimart.generations[0].generation_id
    assert known.item.reason
    assert spent(index) == 0


def test_a_refused_request_is_reported(apimart: Sandbox, place: Path, index: Index) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError):
        content.generation("posters", model="no-such-model", check="off")
    known = only(index, Kind.GENERATION)
    assert known.item
    assert (known.item.status, known.item.generation_id) == ("refused", None)


def test_a_sensor_and_a_transfer_complete_what_is_known(
    apimart: Sandbox, place: Path, index: Index, tmp_path: Path
) -> None:
    content.generation("posters", prompt="A fox", wait_for_completion=False)
    generation_id = apimart.generations[0].generation_id
    sensor = ApimartGenerationSensor(task_id="wait", generation=generation_id, poke_interval=0.2)
    returned = sensor.execute(content.context("posters", task_id="wait"))
    transfer = ApimartToObjectStorageOperator(
        task_id="save", generation=returned, destination=tmp_path.as_uri(), allow_private_hosts=True
    )
    transfer.execute(content.context("posters", task_id="save"))
    (shown,) = merged(index.entries()).values()
    assert shown.known.entry.task_id == "draw"
    assert (shown.item.prompt, shown.item.status) == ("A fox", "completed")
    assert shown.item.cost == apimart.dollars
    assert [file.name for file in shown.item.files] == [file.name for file in tmp_path.glob("*.png")]
    assert shown.folder == tmp_path.as_uri()


@pytest.mark.parametrize("copy_reused", [True, False])
def test_reused_results_cost_nothing_and_say_what_they_saved(
    apimart: Sandbox, place: Path, index: Index, tmp_path: Path, copy_reused: bool
) -> None:
    kept: dict[str, Any] = {"library": (tmp_path / "library").as_uri(), "copy_reused": copy_reused}
    content.batch("first", tmp_path / "first", [{"id": "a", "prompt": "A fox"}], library=kept["library"])
    again = kept | {"reuse_within": 3600}
    content.batch("second", tmp_path / "second", [{"id": "a", "prompt": "A fox"}], **again)
    content.generation("third", prompt="A fox", destination=(tmp_path / "third").as_uri(), **again)
    assert apimart.billed == 1
    known = {each.entry.dag_id: each for each in index.entries().values()}
    rows = {dag_id: each.entry.spending[0] for dag_id, each in known.items()}
    assert spent(index) == apimart.dollars == rows["second"].saved == rows["third"].saved
    assert [rows[dag_id].reused for dag_id in ("first", "second", "third")] == [0, 1, 1]
    (item,) = Ledgers().items(known["second"].entry).all
    third = known["third"].item
    assert third
    for each in (item, third):
        assert each.status == "reused"
        assert each.saved_cost == apimart.dollars
        assert each.cost == 0
        assert [file.folder.endswith("/first") for file in each.files] == [not copy_reused]


def test_a_storage_that_cannot_be_written_fails_no_task(apimart: Sandbox, place: Path, tmp_path: Path) -> None:
    place.mkdir()
    (place / "index").write_text("a file where a directory should be")
    content.generation("posters", destination=tmp_path.as_uri())
    content.batch("animals", tmp_path / "files", ["A fox"])
    assert apimart.billed == len(list(tmp_path.rglob("*.png"))) == 2


def test_nothing_secret_is_written(apimart: Sandbox, place: Path, tmp_path: Path) -> None:
    url = "https://bucket.example/x.png?X-Amz-Signature=s3cr3t"
    with pytest.raises(errors.ApimartError):
        content.generation("posters", image_urls=[url], prompt="[sandbox: fail no]", check="off")
    written = "".join(file.read_text() for file in place.rglob("index/**/*.json"))
    assert "bucket.example/x.png" in written
    assert "s3cr3t" not in written
    assert apimart.api_key not in written


def test_a_destination_that_was_perhaps_never_tried_serves_no_files(apimart: Sandbox, index: Index) -> None:
    with pytest.raises(errors.ApimartError):
        content.generation("posters", prompt="", destination="file:///")
    assert only(index, Kind.GENERATION).entry.destination is None


def test_urls_are_shown_without_their_queries() -> None:
    url = "https://user:pass@example.com/a.png?sig=x"
    assert shown_request({"image_urls": [url], "deep": {"mask_url": url}, "n": 2, "prompt": url}) == {
        "image_urls": ["https://example.com/a.png?***"],
        "deep": {"mask_url": "https://example.com/a.png?***"},
        "n": 2,
    }


def test_an_error_after_the_completion_loses_no_cost(apimart: Sandbox, place: Path, index: Index) -> None:
    from airflow_provider_apimart.page_index.generations import report_event

    done = generation_from_xcom({"generation_id": "g", "status": "completed", "cost": 0.05, "model": "m"})
    error = errors.ApimartDestinationError("the disk is full")
    failed = GenerationEvent(EventKind.FAILED, "image", "m", generation=done, error=error)
    report_event(content.context("posters"), IndexFile(), failed)
    known = only(index, Kind.GENERATION)
    assert known.item
    assert known.item.status == "completed"
    assert known.item.short_reason == "the disk is full"
    assert spent(index) == Decimal("0.05")
