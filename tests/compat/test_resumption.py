"""Retries that Airflow 3.0 and 3.1.0 resume with the event of the try before, over real HTTP on every version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.compat.resumption import TRY_NUMBER
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from tests.batch.bare import task_context
from tests.batch.support import run_trigger

MODEL = "gemini-2.5-flash-image-preview"


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())


def context(try_number: int) -> Any:
    made = task_context()
    made["ti"].try_number = try_number
    return made


def picture(prompt: str) -> ApimartImageGenerationOperator:
    return ApimartImageGenerationOperator(
        task_id="generate", model=MODEL, prompt=prompt, deferrable=True, poll_interval=0.05
    )


def deferred(task: Any) -> TaskDeferred:
    """Run the first try until it defers."""
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(context(1))
    return deferral.value


@pytest.mark.parametrize("kwargs", [{}, {"generation_id": "task_of_the_first_try"}])
def test_a_retry_after_a_failed_generation_makes_a_new_one(sandbox: Sandbox, kwargs: dict[str, str]) -> None:
    task = picture("[sandbox: fail once]")
    stale = run_trigger(deferred(task).trigger)
    with pytest.raises(errors.ApimartGenerationFailedError):
        task.execute_complete(context(1), stale, **kwargs)

    with pytest.raises(TaskDeferred) as deferral:
        task.execute_complete(context(2), stale, **kwargs)
    generation = task.execute_complete(context(2), run_trigger(deferral.value.trigger))

    assert generation["status"] == "completed"
    assert (sandbox.accepted, sandbox.billed) == (2, 1)


def test_what_ended_well_is_delivered_whichever_try_has_waited(sandbox: Sandbox) -> None:
    """A day later its idempotency key protects no more, and to begin anew would pay again."""
    task = picture("a cat")
    completed = run_trigger(deferred(task).trigger)
    sandbox.advance(25 * 3600)

    assert task.execute_complete(context(2), completed)["status"] == "completed"
    assert (sandbox.accepted, sandbox.billed) == (1, 1)


def test_an_event_without_a_try_is_taken_for_this_trys(sandbox: Sandbox) -> None:
    task = picture("[sandbox: fail]")
    event = {key: value for key, value in run_trigger(deferred(task).trigger).items() if key != TRY_NUMBER}

    with pytest.raises(errors.ApimartGenerationFailedError):
        task.execute_complete(context(2), event)
    assert sandbox.accepted == 1


def test_a_retry_of_a_sensor_reads_again(sandbox: Sandbox) -> None:
    # So that it still runs at the first look, however busy the machine is.
    sandbox.configure(seconds=600)
    submission = ApimartHook().submit_generation("image", {"model": MODEL, "prompt": "a cat"}, idempotency_key="k")
    generation_id = str(submission.generation.generation_id)
    task = ApimartGenerationSensor(task_id="wait", generation=generation_id, deferrable=True, poke_interval=0.05)
    deferral = deferred(task)
    sandbox.inject(Fault("unauthorized", on="status", times=2))
    stale = run_trigger(deferral.trigger)
    with pytest.raises(errors.ApimartAuthenticationError):
        task.execute_complete(context(1), stale)

    sandbox.clear_faults()
    sandbox.complete_all()
    assert task.execute_complete(context(2), stale)["generation_id"] == generation_id
    assert sandbox.billed == 1


def test_a_retry_of_a_batch_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    task = ApimartBatchGenerationOperator(
        task_id="generate",
        requests=[{"prompt": "a cat"}, {"prompt": "a dog"}],
        model=MODEL,
        destination=f"file://{tmp_path}",
        deferrable=True,
        poll_interval=0.05,
    )
    deferral = deferred(task)
    sandbox.inject(Fault("unauthorized", on="status", times=4))
    stale = run_trigger(deferral.trigger)
    with pytest.raises(errors.ApimartAuthenticationError):
        task.execute_complete(context(1), stale)

    sandbox.clear_faults()
    sandbox.complete_all()
    manifest = resumed_until_done(task, stale)
    assert (manifest["completed"], sandbox.accepted, sandbox.billed) == (2, 2, 2)


def resumed_until_done(task: ApimartBatchGenerationOperator, event: Mapping[str, Any]) -> dict[str, Any]:
    for _ in range(5):
        try:
            return task.execute_complete(context(2), event)
        except TaskDeferred as deferral:
            event = run_trigger(deferral.trigger)
    raise AssertionError("the batch doesn't end")
