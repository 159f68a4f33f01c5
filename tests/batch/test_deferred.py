"""Batches that wait in the triggerer: the worker's legs and the real trigger between them, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.batch.summary import MaxFailures, raise_if_incomplete
from airflow_provider_apimart.batch.task_try import run_try
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.triggers.batch import ApimartBatchTrigger
from tests.batch.support import as_plan, entries, make_deferred, posts, run_trigger, settings, statuses, triggered


def cats(number: int) -> list[str]:
    return [f"cat {each}" for each in range(number)]


def test_a_deferred_batch_is_made_and_billed_once(sandbox: Sandbox, tmp_path: Path) -> None:
    end, legs = make_deferred(sandbox, tmp_path, as_plan(cats(120), max_in_flight=40))
    assert sandbox.billed == sandbox.accepted == posts(sandbox) == end.counts.completed == 120
    assert statuses(entries(tmp_path)) == ["completed"] * 120
    assert 3 < legs < 15


def test_without_item_retries_what_fails_is_submitted_by_the_next_try(sandbox: Sandbox, tmp_path: Path) -> None:
    written = ["[sandbox: fail]", "[sandbox: moderation]", "[sandbox: refuse]", "[sandbox: nsfw]", *cats(20)]
    end, _ = make_deferred(sandbox, tmp_path, as_plan(written, max_in_flight=6))
    assert statuses(entries(tmp_path)) == ["failed", "moderated", "moderated", "moderated"] + ["completed"] * 20
    assert posts(sandbox) == len(written)
    assert sandbox.billed == 20
    with pytest.raises(errors.ApimartBatchIncompleteError):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
    make_deferred(sandbox, tmp_path, as_plan(written))
    assert posts(sandbox) == len(written) + 1, "the next try makes up for what failed"


def test_a_refused_submit_is_sent_once_a_try(sandbox: Sandbox, tmp_path: Path) -> None:
    written: list[object] = [{"prompt": "x", "size": "no size"}, *cats(20)]
    for tries in (1, 2):
        make_deferred(sandbox, tmp_path, as_plan(written, max_in_flight=4))
        assert posts(sandbox) == len(written) + tries - 1
    assert statuses(entries(tmp_path)) == ["refused"] + ["completed"] * 20


def test_an_unknown_outcome_is_not_waited_for(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.inject(Fault("lost_answer", times=2))
    end, _ = make_deferred(sandbox, tmp_path, as_plan(cats(8), max_in_flight=1))
    assert statuses(entries(tmp_path)) == ["unknown"] + ["completed"] * 7
    assert not [request for request in sandbox.requests if request.path.endswith("/None")]
    end, _ = make_deferred(sandbox, tmp_path, as_plan(cats(8), max_in_flight=1))
    assert end.counts.completed == sandbox.billed == sandbox.accepted == 8


def test_an_empty_account_stops_the_submitting_and_what_runs_is_finished(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(balance=Decimal("0.40"))
    end, legs = make_deferred(sandbox, tmp_path, as_plan(cats(300), max_in_flight=10))
    assert end.counts.completed == sandbox.billed == 20
    assert posts(sandbox) <= 20 + 10 * legs
    assert isinstance(end.stopped_by, errors.ApimartBalanceError)
    sandbox.configure(balance=None)


def test_a_generation_that_takes_too_long_is_given_up_for_this_try(sandbox: Sandbox, tmp_path: Path) -> None:
    written = ["[sandbox: stuck]", *cats(20)]
    end, legs = make_deferred(sandbox, tmp_path, as_plan(written, max_in_flight=4, wait_seconds=2.0))
    assert statuses(entries(tmp_path)) == ["running"] + ["completed"] * 20
    assert legs < 30
    sandbox.complete_all()
    end, _ = make_deferred(sandbox, tmp_path, as_plan(written, wait_seconds=2.0))
    assert end.counts.completed == sandbox.billed == 21


def test_the_manifest_is_pushed_and_the_ledger_merged_only_at_the_end(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = as_plan(cats(5), parks=True)
    end = run_try(plan, settings(sandbox), str(tmp_path), None)
    assert len(end.parked) == 5
    assert not list(tmp_path.glob("*.ledger.jsonl"))
    finished = frozenset(triggered(end, plan)["finished"])
    end = run_try(replace(plan, finished=finished), settings(sandbox), str(tmp_path), None)
    assert list(tmp_path.glob("*.ledger.jsonl"))
    assert end.parked == []


def test_a_resumption_without_an_event_reads_all(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = as_plan(cats(5), parks=True)
    run_try(plan, settings(sandbox), str(tmp_path), None)
    sandbox.complete_all()
    end = run_try(replace(plan, finished=None), settings(sandbox), str(tmp_path), None)
    assert end.counts.completed == sandbox.billed == 5


def trigger(sandbox: Sandbox, tmp_path: Path, written: list[str], enough: int | None = None) -> ApimartBatchTrigger:
    plan = as_plan(written, parks=True)
    end = run_try(plan, settings(sandbox), str(tmp_path), None)
    generations = [[wait.generation_id, wait.started_at, wait.modality, wait.model] for wait in end.parked]
    return ApimartBatchTrigger(
        generations, enough=enough or len(generations), started_at=plan.started_at, poll_interval=0.05
    )


def test_a_triggerer_that_starts_again_reports_the_same(sandbox: Sandbox, tmp_path: Path) -> None:
    waiting = trigger(sandbox, tmp_path, cats(5))
    first, second = run_trigger(waiting), run_trigger(waiting)
    assert set(first["finished"]) == set(second["finished"]) == {each.generation_id for each in sandbox.generations}
    assert posts(sandbox) == 5
    assert first["started_at"] == waiting.started_at


def test_failures_end_the_wait_too(sandbox: Sandbox, tmp_path: Path) -> None:
    waiting = trigger(sandbox, tmp_path, ["[sandbox: fail]", "[sandbox: moderation]", "a cat"])
    assert len(run_trigger(waiting)["finished"]) == 3


def test_it_comes_back_when_enough_have_ended(sandbox: Sandbox, tmp_path: Path) -> None:
    waiting = trigger(sandbox, tmp_path, [*["[sandbox: stuck]"] * 2, *cats(3)], enough=3)
    assert len(run_trigger(waiting)["finished"]) == 3


def test_a_connection_that_only_the_triggerer_lacks_ends_the_wait(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = trigger(sandbox, tmp_path, cats(2))
    monkeypatch.delenv("AIRFLOW_CONN_APIMART_DEFAULT")
    event = run_trigger(waiting)
    assert event["finished"] == []
    assert errors.error_from_json(event["error"]).message.startswith("The connection 'apimart_default' isn't defined")


def test_a_key_that_is_refused_in_the_triggerer_ends_the_wait(sandbox: Sandbox, tmp_path: Path) -> None:
    waiting = trigger(sandbox, tmp_path, cats(2))
    sandbox.inject(Fault("unauthorized", on="status", times=100))
    assert isinstance(errors.error_from_json(run_trigger(waiting)["error"]), errors.ApimartAuthenticationError)


def test_any_error_in_a_wait_is_reported_in_an_event(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one the task would fail without a word of its generations, and on Airflow 3.0 each retry as well."""
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    of_another_version = ApimartBatchTrigger([["task_1"]], enough=1, started_at=0.0)
    error = errors.error_from_json(run_trigger(of_another_version)["error"])
    assert isinstance(error, errors.ApimartStatusUnreadableError)
    assert "interrupted by ValueError" in error.message


def test_a_status_that_cannot_be_read_in_the_triggerer_is_looked_at_by_the_worker(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    waiting = trigger(sandbox, tmp_path, cats(2))
    sandbox.inject(Fault("bad_gateway", on="status", times=100))
    assert len(run_trigger(waiting)["finished"]) == 2


def test_trigger_arguments_and_events_hold_no_secret_and_stay_small(sandbox: Sandbox, tmp_path: Path) -> None:
    waiting = trigger(sandbox, tmp_path, cats(100))
    written = json.dumps(waiting.serialize())
    assert sandbox.api_key not in written + repr(vars(waiting)) + json.dumps(run_trigger(waiting))
    assert len(written) < 150 * 100
