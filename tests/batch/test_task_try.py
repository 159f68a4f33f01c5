"""Batches over real HTTP: what is made, what is charged, and what the ledger says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.summary import MaxFailures, raise_if_incomplete
from airflow_provider_apimart.batch.task_try import run_try
from airflow_provider_apimart.durable.decision import OnUnknownOutcome
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.generations import GenerationView
from tests.batch.support import (
    MODEL,
    TASK,
    as_plan,
    entries,
    ledger_file,
    ledger_lines,
    make,
    make_deferred,
    posts,
    settings,
    statuses,
)

MIXED = {
    "good": "a cat",
    "fails": "[sandbox: fail no cats today]",
    "fails-once": "[sandbox: fail once]",
    "moderated-later": "[sandbox: moderation]",
    "moderated-at-once": "[sandbox: refuse]",
    "nsfw": "[sandbox: nsfw]",
    "slow": "[sandbox: slow]",
}
MIXED_ITEMS = [{"id": name, "prompt": prompt} for name, prompt in MIXED.items()]


def cats(number: int) -> list[str]:
    return [f"cat {each}" for each in range(number)]


def most_running_at_once(generations: Sequence[GenerationView]) -> int:
    """Return how many generations ran at the same moment at most."""
    begun = [(each.created, 1) for each in generations]
    ended = [(each.completed, -1) for each in generations if each.completed is not None]
    most = running = 0
    for _, change in sorted([*begun, *ended]):
        running += change
        most = max(most, running)
    return most


def test_a_batch_is_made_and_billed_once(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, cats(120), max_in_flight=40)
    assert sandbox.billed == sandbox.accepted == posts(sandbox) == 120
    assert statuses(entries(tmp_path)) == ["completed"] * 120
    manifest = end.manifest
    assert (manifest["items"], manifest["completed"], manifest["cost"]) == (120, 120, 2.4)
    lines = [json.loads(line) for line in Path(manifest["ledger"].removeprefix("file://")).read_text().splitlines()]
    by_id = {generation.generation_id: generation for generation in sandbox.generations}
    for number, line in enumerate(lines):
        made = by_id[line["generation_id"]]
        assert line["id"] == str(number)
        assert line["prompt"] == made.payload["prompt"] == f"cat {number}"
        assert [output["url"] for output in line["outputs"]] == list(made.urls)
    assert Path(manifest["gallery"].removeprefix("file://")).read_text().count("<img ") == 120
    assert len(json.dumps(manifest)) < 1000


def test_an_empty_batch_succeeds_and_leaves_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, [])
    assert (end.manifest["items"], end.manifest["ledger"], end.manifest["gallery"]) == (0, None, None)
    raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
    assert list(tmp_path.iterdir()) == []
    assert sandbox.requests == ()


def test_items_fail_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, MIXED_ITEMS)
    found = {entry.id: entry for entry in entries(tmp_path)}
    assert {name: entry.status.value for name, entry in found.items()} == {
        "good": "completed",
        "fails": "failed",
        "fails-once": "failed",
        "moderated-later": "moderated",
        "moderated-at-once": "moderated",
        "nsfw": "moderated",
        "slow": "completed",
    }
    assert "No cats today" in str(found["fails"].reason)
    assert sandbox.billed == 2
    assert end.counts.cost == sandbox.dollars == Decimal("0.04")
    assert end.stopped_by is None
    assert all(entry.cost is None for entry in found.values() if entry.status != "completed")


@pytest.mark.parametrize(("item_retries", "submits"), [(1, 9), (2, 10), (5, 13)])
@pytest.mark.parametrize("deferred", [False, True])
def test_an_item_that_failed_is_submitted_again_within_the_try(
    sandbox: Sandbox, tmp_path: Path, item_retries: int, submits: int, deferred: bool
) -> None:
    plan = as_plan(MIXED_ITEMS, item_retries=item_retries, started_at=time.time())
    end = make_deferred(sandbox, tmp_path, plan)[0] if deferred else make(sandbox, tmp_path, plan)
    found = {entry.id: entry.status.value for entry in entries(tmp_path)}
    assert found["fails-once"] == "completed"
    assert (found["fails"], found["moderated-later"], found["nsfw"]) == ("failed", "moderated", "moderated")
    assert posts(sandbox) == submits, "each failed item again; what moderation refused never"
    keys = {generation.idempotency_key for generation in sandbox.generations}
    assert len(keys) == len(sandbox.generations), "each attempt has a key of its own"
    assert sandbox.billed == 3
    assert end.counts.cost == sandbox.dollars == Decimal("0.06")
    make(sandbox, tmp_path, as_plan(MIXED_ITEMS, item_retries=item_retries, started_at=time.time()))
    assert posts(sandbox) == submits + 1 + item_retries, "the next try has item_retries of its own"


def test_item_retries_keep_to_max_cost(sandbox: Sandbox, tmp_path: Path) -> None:
    written = [*("[sandbox: fail once] " + str(each) for each in range(20)), *cats(20)]
    plan = as_plan(written, item_retries=2, max_cost=Decimal("0.20"), started_at=time.time())
    end = make(sandbox, tmp_path, plan)
    assert sandbox.dollars <= Decimal("0.20")
    assert end.counts.cost == sandbox.dollars


def test_a_retry_makes_only_what_failed(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, MIXED_ITEMS)
    before = {entry.id: entry for entry in entries(tmp_path)}
    sent = posts(sandbox)
    end = make(sandbox, tmp_path, MIXED_ITEMS)
    after = {entry.id: entry for entry in entries(tmp_path)}
    assert posts(sandbox) - sent == 2, "what failed; moderation is final"
    assert after["fails-once"].status == "completed"
    assert after["fails"].status == "failed"
    untouched = MIXED.keys() - {"fails", "fails-once"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert sandbox.billed == end.counts.completed == 3


def test_a_clear_tries_moderated_items_again_and_redoes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, MIXED_ITEMS)
    accepted, sent = sandbox.accepted, posts(sandbox)
    make(sandbox, tmp_path, MIXED_ITEMS, task=replace(TASK, clear_marker=9))
    assert posts(sandbox) - sent == 5
    assert sandbox.accepted - accepted == 3
    assert sandbox.billed == 3


def test_another_run_of_the_dag_has_its_own_ledger(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, cats(3))
    make(sandbox, tmp_path, cats(3), task=replace(TASK, run_id="another"))
    make(sandbox, tmp_path, cats(3), task=replace(TASK, map_index=1))
    assert sandbox.billed == 9


@pytest.mark.parametrize("most", [1, 7, 30])
def test_no_more_than_max_in_flight_run_at_once(sandbox: Sandbox, tmp_path: Path, most: int) -> None:
    make(sandbox, tmp_path, cats(60 if most > 1 else 8), max_in_flight=most)
    assert 0 < most_running_at_once(sandbox.generations) <= most


def test_an_empty_account_stops_the_submitting_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(balance=Decimal("0.40"))
    end = make(sandbox, tmp_path, cats(500), max_in_flight=10)
    assert sandbox.billed == 20, "what was submitted is finished"
    assert posts(sandbox) <= 20 + 10
    assert statuses(entries(tmp_path)).count("completed") == 20
    assert [line["status"] for line in ledger_lines(tmp_path)].count("not_submitted") == 480
    with pytest.raises(errors.ApimartBalanceError, match="20 of 500 items completed"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
    sandbox.configure(balance=None)


def test_topping_up_and_clearing_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(Fault("insufficient_balance", skip=5, times=1000))
    make(sandbox, tmp_path, cats(40), max_in_flight=4)
    assert sandbox.billed == 5
    sandbox.clear_faults()
    end = make(sandbox, tmp_path, cats(40), max_in_flight=4)
    assert sandbox.billed == end.counts.completed == 40


def test_a_key_that_is_refused_stops_the_submitting_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = as_plan(cats(100), max_in_flight=8)
    end = run_try(plan, settings(sandbox, "sk-wrong"), str(tmp_path), None)
    assert isinstance(end.stopped_by, errors.ApimartAuthenticationError)
    assert posts(sandbox) <= 8
    assert set(statuses(entries(tmp_path))) == {"not_submitted"}
    assert make(sandbox, tmp_path, cats(100)).counts.completed == sandbox.billed == 100


@contextmanager
def key_replaced_once(sandbox: Sandbox, accepted: int) -> Iterator[None]:
    """Replace the API key while so many generations have been accepted."""

    def replace_it() -> None:
        while sandbox.accepted < accepted:
            time.sleep(0.01)
        sandbox.replace_api_key("sk-of-today")

    with ThreadPoolExecutor(1) as pool:
        replaced = pool.submit(replace_it)
        yield
        replaced.result()


@pytest.mark.parametrize("accepted", [1, 10, 30])
def test_a_key_that_is_replaced_meanwhile_goes_on_with_waits_and_submits(
    sandbox: Sandbox, tmp_path: Path, accepted: int
) -> None:
    sandbox.configure(seconds=0.4)
    plan = as_plan(cats(30), max_in_flight=10)
    with key_replaced_once(sandbox, accepted):
        end = run_try(plan, settings(sandbox), str(tmp_path), None, current_settings=lambda: settings(sandbox))
    assert end.stopped_by is None
    assert end.counts.completed == sandbox.billed == sandbox.accepted == 30
    assert [request.status for request in sandbox.requests].count(401) > 0


def test_a_key_that_was_not_replaced_is_read_again_once_for_all(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=0.4)
    stale, asked = settings(sandbox), []

    def unchanged() -> ClientSettings:
        asked.append(time.monotonic())
        time.sleep(0.5)
        return stale

    with key_replaced_once(sandbox, 10):
        end = run_try(as_plan(cats(30), max_in_flight=10), stale, str(tmp_path), None, current_settings=unchanged)
    assert isinstance(end.stopped_by, errors.ApimartAuthenticationError)
    assert len(asked) <= 3
    assert sandbox.accepted == 10
    # What runs is taken up once the key is right.
    assert make(sandbox, tmp_path, cats(30)).counts.completed == sandbox.billed == sandbox.accepted == 30


def test_a_model_that_the_key_may_not_use_is_refused_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    written: list[object] = ["a cat", {"prompt": "a cat", "model": "doubao-seedream-4-5"}]
    end = run_try(as_plan(written), settings(sandbox, "sk-sandbox-restricted"), str(tmp_path), None)
    assert statuses(entries(tmp_path)) == ["completed", "refused"]
    with pytest.raises(errors.ApimartBatchRefusedError):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("unavailable", "unknown"), ("lost_answer", "unknown"), ("get_channel_failed", "not_submitted")],
)
def test_a_passing_error_is_overcome_by_the_next_try(sandbox: Sandbox, tmp_path: Path, kind: str, status: str) -> None:
    sandbox.inject(Fault(kind, times=10_000, retry_after=0.01))
    impatient = RetryPolicy(
        max_requests=2, max_unknown=2, seconds=0.2, rate_limited_seconds=0.1, first=0.01, longest=0.02
    )
    end = make(sandbox, tmp_path, cats(5), submit_policy=impatient)
    assert statuses(entries(tmp_path)) == [status] * 5
    with pytest.raises(errors.ApimartBatchIncompleteError) as caught:
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
    assert not isinstance(caught.value, errors.ApimartBatchRefusedError)
    sandbox.clear_faults()
    assert make(sandbox, tmp_path, cats(5)).counts.completed == 5
    assert sandbox.billed == sandbox.accepted == 5


def test_an_account_that_is_limited_gets_all_it_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(rate_limit=60)
    assert make(sandbox, tmp_path, cats(100)).counts.completed == 100
    assert sandbox.billed == sandbox.accepted == 100
    assert [request for request in sandbox.requests if request.status == 429]


def test_random_faults_charge_nothing_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(
        *[Fault(kind, share=0.06) for kind in ("lost_answer", "reset", "bad_gateway", "truncated", "server_error")],
        *[
            Fault(kind, share=0.06)
            for kind in ("get_channel_failed", "closed_before_reading", "idempotency_unavailable")
        ],
        *[Fault(kind, on="status", share=0.05) for kind in ("reset", "bad_gateway", "garbage", "truncated")],
    )
    tries = 0
    while make(sandbox, tmp_path, cats(150), max_in_flight=60).counts.completed < 150:
        tries += 1
        assert tries < 10
    assert sandbox.billed == sandbox.accepted == 150


def test_an_outcome_that_must_not_be_guessed_waits_for_a_person(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(Fault("lost_answer", times=1))
    fails: dict[str, Any] = {"on_unknown_outcome": OnUnknownOutcome.FAIL, "max_in_flight": 1}
    for _ in range(2):
        make(sandbox, tmp_path, cats(3), **fails)
        assert statuses(entries(tmp_path)) == ["unknown", "completed", "completed"]
    assert "clear this task: that submits a new generation" in str(entries(tmp_path)[0].reason)
    make(sandbox, tmp_path, cats(3), **fails, task=replace(TASK, clear_marker=9))
    assert statuses(entries(tmp_path)) == ["completed"] * 3
    assert sandbox.billed == 4, "the person has decided to pay again"


def test_a_generation_that_takes_too_long_is_left_alone_and_taken_up(sandbox: Sandbox, tmp_path: Path) -> None:
    written = ["[sandbox: stuck]", *cats(5)]
    end = make(sandbox, tmp_path, written, wait_seconds=1.0)
    assert statuses(entries(tmp_path)) == ["running"] + ["completed"] * 5
    assert "resumes waiting for it at no cost" in str(entries(tmp_path)[0].reason)
    with pytest.raises(errors.ApimartBatchIncompleteError):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
    sandbox.complete_all()
    assert make(sandbox, tmp_path, written, wait_seconds=1.0).counts.completed == 6
    assert sandbox.accepted == posts(sandbox) == 6


def test_each_item_has_the_whole_time_however_late_it_is_submitted(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=0.4, jitter=0.0)
    end = make(sandbox, tmp_path, cats(8), max_in_flight=2, wait_seconds=1.0)
    assert end.counts.completed == 8, "the batch took longer than a second, no item did"


def test_a_generation_that_nobody_knows_any_more_stops_only_itself(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, ["[sandbox: stuck]", "a cat"], wait_seconds=0.5)
    lost = sandbox.generations[0].generation_id
    sandbox.inject(Fault("task_not_found", on="status", times=1000))
    make(sandbox, tmp_path, ["[sandbox: stuck]", "a cat"], wait_seconds=0.5)
    found = entries(tmp_path)
    assert statuses(found) == ["unknown", "completed"]
    assert lost in str(found[0].reason)
    assert sandbox.accepted == 2


def test_a_changed_input_is_generated_again_and_what_was_paid_is_remembered(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, ["a cat", "a dog"])
    end = make(sandbox, tmp_path, ["a cat", "a fox"])
    assert sandbox.billed == 3
    same, changed = entries(tmp_path)
    assert (same.earlier, changed.prompt) == ((), "a fox")
    assert [each["cost"] for each in changed.earlier] == [0.02]
    assert end.manifest["cost"] == float(sandbox.dollars) == 0.06


def test_items_that_are_asked_for_no_more_stay_in_the_ledger(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(sandbox, tmp_path, cats(5))
    end = make(sandbox, tmp_path, cats(3))
    assert (end.counts.items, end.counts.completed) == (3, 3)
    assert len(entries(tmp_path)) == 5
    assert "Items of an earlier try that are no longer requested: 2" in caplog.text


def test_results_that_come_at_once_are_taken(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(dialect="at_once")
    assert make(sandbox, tmp_path, cats(5)).counts.completed == sandbox.billed == 5
    assert make(sandbox, tmp_path, cats(5)).counts.completed == sandbox.billed == 5


def test_videos_and_pictures_go_together(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(video_multiple=1.0)
    written: list[object] = ["a cat", {"prompt": "a cat runs", "model": "kling-v2-6", "modality": "video"}]
    make(sandbox, tmp_path, written)
    assert [entry.outputs[0]["kind"] for entry in entries(tmp_path)] == ["image", "video"]


def test_an_unwritable_place_costs_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.ApimartDestinationError, match="Nothing was submitted"):
        make(sandbox, tmp_path / "file", cats(5))
    assert sandbox.requests == ()


def test_a_disk_that_fills_up_stops_before_the_next_item_is_paid(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent whose record isn't on the disk; what was sent before is taken up by the next try."""
    original, written = os.fsync, []

    def fsync(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 6:
            raise OSError(28, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(errors.ApimartDestinationError, match="No space left on device"):
            make(sandbox, tmp_path, cats(60), max_in_flight=5)
    paid = sandbox.accepted
    assert 0 < paid < 60
    recorded = {entry.submission["idempotency_key"] for entry in entries(tmp_path) if entry.submission}
    assert {generation.idempotency_key for generation in sandbox.generations} <= recorded
    assert make(sandbox, tmp_path, cats(60)).counts.completed == 60
    assert sandbox.billed == sandbox.accepted == 60


def test_the_api_key_is_in_no_file(sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = sandbox.api_key
    sandbox.inject(
        Fault("build_request_failed", times=1, message=f"build_request_failed: what is {key}?"),
        Fault("lost_answer", times=1),
        Fault("bad_gateway", on="status", times=2, message=f"Bearer {key}"),
    )
    caplog.set_level("DEBUG")
    make(sandbox, tmp_path, MIXED_ITEMS)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if key in file.read_text()]
    assert key not in caplog.text
    assert [file for file in files if "what is ***?" in file.read_text()]


@pytest.mark.parametrize("damage", ["cut", "emptied", "removed", "foreign"])
def test_nothing_that_is_paid_for_depends_on_the_ledger_that_people_read(
    sandbox: Sandbox, tmp_path: Path, damage: str
) -> None:
    make(sandbox, tmp_path, cats(3))
    ledger = ledger_file(tmp_path)
    whole = ledger.read_bytes()
    match damage:
        case "cut":
            ledger.write_bytes(whole[:-20])
        case "emptied":
            ledger.write_bytes(b"")
        case "removed":
            ledger.unlink()
        case "foreign":
            ledger.write_text("id,status\n")
    make(sandbox, tmp_path, cats(3), task=replace(TASK, clear_marker=7))
    assert sandbox.billed == 3
    assert ledger.read_bytes() == whole


def facts(entry: LedgerEntry) -> dict[str, Any]:
    return {"status": entry.status.value, "model": entry.model, "cost": entry.cost}


def test_the_ledger_holds_model_status_and_cost(sandbox: Sandbox, tmp_path: Path) -> None:
    written: list[object] = ["a cat", {"prompt": "x", "model": "gpt-image-1.5", "n": 2}]
    make(sandbox, tmp_path, written)
    assert [facts(entry) for entry in entries(tmp_path)] == [
        {"status": "completed", "model": MODEL, "cost": Decimal("0.02")},
        {"status": "completed", "model": "gpt-image-1.5", "cost": Decimal("0.00952")},
    ]
