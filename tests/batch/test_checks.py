"""Checks of a batch's items: all findings together and before the first item is paid."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.checks.check import Check
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox

from .bare import task_context
from .support import MODEL, as_items, as_plan, entries, make, make_deferred, posts, statuses

SHORT = {"id": "short", "prompt": "a cat"}
MISSPELT = [{"id": f"m{number}", "prompt": f"cat {number}", "promt": "typo"} for number in range(7)]
SIZE = {"id": "size", "prompt": "a cat", "size": "17:9"}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "airflow_provider_apimart.checks.check")
    return caplog


def reads(sandbox: Sandbox) -> int:
    return sum(request.route == "models" for request in sandbox.requests)


def warnings(logged: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in logged.records if record.name.endswith("checks.check")]


def batch(requests: Any, **arguments: Any) -> ApimartBatchGenerationOperator:
    return ApimartBatchGenerationOperator(
        task_id="generate", model=MODEL, requests=requests, poll_interval=0.05, **arguments
    )


def test_all_findings_are_reported_once_and_before_the_first_submit(
    sandbox: Sandbox, logged: pytest.LogCaptureFixture
) -> None:
    manifest = batch([SHORT, *MISSPELT, SIZE], max_failures=1).execute(task_context())
    assert warnings(logged) == [
        f"Unknown parameter 'promt' for {MODEL} (did you mean 'prompt'?) in items "
        "'m0', 'm1', 'm2', 'm3', 'm4' and 2 more",
        f"Invalid size for {MODEL}: '17:9' (allowed: 1:1, 2:3, 3:2, 3:4, 4:3, 4:5, 5:4, 9:16, 16:9, 21:9) "
        "in item 'size'",
    ]
    assert sandbox.requests[0].route == "models"
    assert reads(sandbox) == 1
    # The sandbox refuses the size, and takes what it doesn't know.
    assert (manifest["completed"], manifest["refused"]) == (8, 1)


def test_refused_items_refuse_the_batch(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError) as refused:
        batch([SHORT, *MISSPELT, SIZE], check="refuse", max_failures=1.0).execute(task_context())
    assert refused.value.message.startswith("The check has 2 findings. Nothing was sent:\n- Unknown")
    assert [request.route for request in sandbox.requests] == ["models"]
    assert sandbox.accepted == 0


def test_an_item_whose_model_is_misspelt_is_found_although_the_batch_has_one(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=r"'modle' for .* \(did you mean 'model'\?\)"):
        batch([{**SHORT, "modle": "kling-v2-6"}], check="refuse").execute(task_context())
    assert sandbox.accepted == 0


def test_nothing_is_asked_for_if_the_check_is_off(sandbox: Sandbox) -> None:
    batch([SHORT, MISSPELT[0]], check="off").execute(task_context())
    assert (reads(sandbox), sandbox.billed) == (0, 2)


def test_trouble_with_the_list_holds_nothing_up(sandbox: Sandbox, logged: pytest.LogCaptureFixture) -> None:
    sandbox.inject(Fault("html_error", on="models", times=10))
    batch([SHORT, MISSPELT[0]], check="refuse").execute(task_context())
    assert (reads(sandbox), sandbox.billed) == (1, 2)
    (message,) = warnings(logged)
    assert message.startswith("Requests are not checked, since the list of models couldn't be read")


def test_only_what_is_still_to_be_submitted_is_checked(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, MISSPELT)
    plan = as_plan(MISSPELT, check=Check.REFUSE)
    end = make(sandbox, tmp_path, plan)
    assert (reads(sandbox), end.counts.completed, end.stopped_by) == (0, 7, None)
    assert sandbox.billed == 7


def test_a_running_item_is_taken_up_although_others_are_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=30)
    make(sandbox, tmp_path, [SHORT], wait_seconds=0.1)
    sandbox.complete_all()
    end = make(sandbox, tmp_path, as_plan([SHORT, *MISSPELT], check=Check.REFUSE))
    assert isinstance(end.stopped_by, errors.ApimartInvalidRequestError)
    assert (end.counts.completed, posts(sandbox), sandbox.billed) == (1, 1, 1)
    assert statuses(entries(tmp_path)) == ["completed"]


def test_a_try_in_the_triggerer_is_warned_once(
    sandbox: Sandbox, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    plan = as_plan(MISSPELT, check=Check.WARN, max_in_flight=3)
    end, legs = make_deferred(sandbox, tmp_path, plan)
    assert end.counts.completed == 7
    assert legs > 2
    assert len(warnings(logged)) == reads(sandbox) == 1


def test_a_try_in_the_triggerer_stays_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=30)
    make(sandbox, tmp_path, [SHORT], wait_seconds=0.1)
    plan = replace(as_plan([SHORT, *MISSPELT], check=Check.REFUSE), parks=True)
    first = make(sandbox, tmp_path, plan)
    assert len(first.parked) == 1
    sandbox.complete_all()
    finished = frozenset(str(wait.generation_id) for wait in first.parked)
    second = make(sandbox, tmp_path, replace(plan, finished=finished))
    assert isinstance(second.stopped_by, errors.ApimartInvalidRequestError)
    assert (second.counts.completed, sandbox.billed) == (1, 1)


def test_the_operator_that_defers_checks_first(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError):
        batch(MISSPELT, check="refuse", deferrable=True).execute(task_context())
    with pytest.raises(TaskDeferred):
        batch([SHORT], check="refuse", deferrable=True).execute(task_context())
    assert sandbox.accepted == 1


def test_many_items_with_many_mistakes_take_little_time(sandbox: Sandbox) -> None:
    many = [{"prompt": "a cat", f"promt{number % 50}": "x", "size": f"{number}:9"} for number in range(5_000)]
    assert len(as_items(many)) == 5_000
    with pytest.raises(errors.ApimartInvalidRequestError, match="The check has") as refused:
        batch(many, check="refuse").execute(task_context())
    assert len(refused.value.message) < 20_000
    assert sandbox.accepted == 0
