"""Paid generations when people clear, change, kill and wait, in a real Airflow."""

from __future__ import annotations

import json

import pytest

from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.lab import AirflowLab
from tests.lab.airflow_lab import QUICK


@pytest.mark.parametrize("without_store", [False, True])
def test_clearing_a_finished_task_makes_a_new_generation(
    lab: AirflowLab, sandbox: Sandbox, without_store: bool
) -> None:
    run = lab.start_run("lab_single_waiting")
    run.drive(sandbox.connection_json(), without_store=without_store)
    first = run.view("generate").returned
    run.clear("generate")
    run.drive(sandbox.connection_json(), without_store=without_store)
    second = run.view("generate").returned
    assert sandbox.billed == 2
    assert first["generation_id"] != second["generation_id"]
    assert second["status"] == "completed"


@pytest.mark.parametrize("without_store", [False, True])
def test_a_success_whose_delivery_was_not_recorded_is_returned_once_more_and_then_generated_again(
    lab: AirflowLab, sandbox: Sandbox, without_store: bool
) -> None:
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="success stored", without_store=without_store)
    first = run.view("generate")
    assert first.state == "success"
    for billed in (1, 2):
        run.clear("generate")
        run.drive(sandbox.connection_json(), without_store=without_store)
        assert run.view("generate").state == "success"
        assert sandbox.billed == billed
    returned = run.view("generate").returned
    assert returned["generation_id"] != first.returned["generation_id"]


@pytest.mark.parametrize("point", ["id written", "event ready", "deferral written"])
def test_clearing_a_running_task_takes_its_generation_up(lab: AirflowLab, sandbox: Sandbox, point: str) -> None:
    run = lab.start_run("lab_single_deferred")
    assert not run.drive(sandbox.connection_json(), crash=point)
    run.recover()
    run.clear("generate")
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert sandbox.billed == 1
    assert view.state == "success"
    assert view.returned["generation_id"] == sandbox.generations[0].generation_id


def test_a_finished_generation_that_was_never_delivered_is_delivered_after_a_clear(
    lab: AirflowLab, sandbox: Sandbox
) -> None:
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="status read")
    sandbox.complete_all()
    run.recover()
    run.clear("generate")
    run.drive(sandbox.connection_json())
    assert sandbox.billed == 1
    assert run.view("generate").returned["status"] == "completed"


def test_a_changed_input_makes_a_new_generation_and_names_the_one_left_behind(
    lab: AirflowLab, sandbox: Sandbox
) -> None:
    run = lab.start_run("lab_changing_input")
    assert not run.drive(sandbox.connection_json(), crash="id written", LAB_PROMPT="a cat")
    run.recover()
    run.drive(sandbox.connection_json(), LAB_PROMPT="a dog")
    left_behind, made = sandbox.generations
    assert run.view("generate").returned["generation_id"] == made.generation_id
    assert made.payload["prompt"] == "a dog"
    assert f"Generation {left_behind.generation_id} is left behind" in run.log


@pytest.mark.parametrize("without_store", [False, True])
def test_a_generation_that_failed_upstream_is_retried_as_a_new_one(
    lab: AirflowLab, sandbox: Sandbox, without_store: bool
) -> None:
    run = lab.start_run("lab_single_deferred", {"prompt": "[sandbox: fail once]"})
    run.drive(sandbox.connection_json(), without_store=without_store)
    view = run.view("generate")
    assert (view.state, view.try_number) == ("success", 2)
    assert (sandbox.accepted, sandbox.billed) == (2, 1)
    first, second = sandbox.generations
    assert first.refunded
    assert first.idempotency_key != second.idempotency_key


@pytest.mark.parametrize("point", ["POST sent", "before the id is written", "status read"])
def test_a_record_in_files_bills_a_crash_once(lab: AirflowLab, sandbox: Sandbox, point: str) -> None:
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash=point, without_store=True)
    run.recover()
    assert run.drive(sandbox.connection_json(), without_store=True)
    assert sandbox.billed == 1
    assert run.view("generate").returned["status"] == "completed"


@pytest.mark.parametrize("dag_id", ["lab_impatient_waiting", "lab_impatient_deferred"])
def test_a_wait_that_ran_out_is_taken_up_by_the_retry(lab: AirflowLab, sandbox: Sandbox, dag_id: str) -> None:
    sandbox.configure(seconds=1.0, jitter=0.0)
    run = lab.start_run(dag_id)
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert view.state == "success"
    assert view.try_number > 1
    assert sandbox.billed == 1
    assert "Timeout: still " in run.log


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
def test_an_outage_of_the_status_is_outlived(lab: AirflowLab, sandbox: Sandbox, dag_id: str) -> None:
    """More failed looks in a row than one wait tolerates: the retry takes the same generation up."""
    sandbox.inject(Fault("bad_gateway", on="status", times=9))
    run = lab.start_run(dag_id)
    run.drive(sandbox.connection_json(), policy={"first": 0.01, "longest": 0.02})
    view = run.view("generate")
    assert (view.state, view.try_number) == ("success", 2)
    assert sandbox.billed == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("unauthorized", "ApimartAuthenticationError"),
        ("insufficient_balance", "ApimartBalanceError"),
        ("forbidden", "ApimartPermissionError"),
        ("build_request_failed", "ApimartInvalidRequestError"),
        ("moderation_failed", "ApimartModerationError"),
    ],
)
def test_a_permanent_error_skips_the_retries(lab: AirflowLab, sandbox: Sandbox, fault: str, error: str) -> None:
    sandbox.inject(Fault(fault))
    run = lab.start_run("lab_single_waiting")
    before = run.log.count(f"{error}:")
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert (view.state, view.try_number) == ("failed", 1)
    assert sandbox.accepted == 0
    assert run.log.count(f"{error}:") > before


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
def test_moderation_of_the_result_skips_the_retries(lab: AirflowLab, sandbox: Sandbox, dag_id: str) -> None:
    run = lab.start_run(dag_id, {"prompt": "[sandbox: moderation]"})
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert (view.state, view.try_number) == ("failed", 1)
    assert (sandbox.accepted, sandbox.billed) == (1, 0)


def test_a_person_decides_when_the_service_does_not_know(lab: AirflowLab, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("idempotency_result_indeterminate"))
    run = lab.start_run("lab_single_waiting")
    run.drive(sandbox.connection_json())
    stopped = run.view("generate")
    assert (stopped.state, stopped.try_number) == ("failed", 1)
    (undecided,) = sandbox.generations
    assert f"idempotency key {undecided.idempotency_key}" in run.log
    run.clear("generate")
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert view.state == "success"
    assert sandbox.accepted == 2
    assert sandbox.generations[1].idempotency_key != undecided.idempotency_key


def test_a_corrected_key_resumes_the_running_generation(lab: AirflowLab, sandbox: Sandbox) -> None:
    """An API key that is replaced while a generation runs must not make a second one."""
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="id written")
    run.recover()
    bad = json.dumps(json.loads(sandbox.connection_json()) | {"password": "sk-revoked"})
    run.drive(bad)
    assert run.view("generate").state == "failed"
    run.clear("generate")
    run.drive(sandbox.connection_json())
    assert run.view("generate").state == "success"
    assert sandbox.billed == 1


def test_the_id_is_known_before_the_wait_begins(lab: AirflowLab, sandbox: Sandbox) -> None:
    run = lab.start_run("lab_single_deferred")
    assert not run.drive(sandbox.connection_json(), crash="deferral written")
    view = run.view("generate")
    generation_id = sandbox.generations[0].generation_id
    assert view.state == "deferred"
    assert view.xcoms["generation_id"] == generation_id
    assert not view.xcoms.get("apimart_generation_link")
    assert generation_id in run.log


def test_a_generation_that_is_not_found_is_paid_again_only_after_a_person_decided(
    lab: AirflowLab, sandbox: Sandbox
) -> None:
    """A clear for another reason is no decision to pay: the service may just not find it for a moment."""
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="id written")
    run.recover()
    run.clear("generate")
    sandbox.inject(Fault("task_not_found", on="status", times=1000))
    # It isn't taken for too new to be found.
    run.drive(sandbox.connection_json(), policy=QUICK | {"new_seconds": 0.0})
    assert run.view("generate").state == "failed"
    assert sandbox.accepted == 1

    run.clear("generate")
    run.drive(sandbox.connection_json())
    assert sandbox.accepted == 2


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
def test_a_generation_that_is_not_found_for_a_moment_is_waited_for(
    lab: AirflowLab, sandbox: Sandbox, dag_id: str
) -> None:
    sandbox.inject(Fault("task_not_found", on="status", times=4))
    run = lab.start_run(dag_id)
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert (view.state, view.try_number) == ("success", 1)
    assert sandbox.billed == 1


def test_a_task_that_fails_has_no_link_that_a_browser_cannot_open(lab: AirflowLab, sandbox: Sandbox) -> None:
    run = lab.start_run("lab_single_deferred", {"prompt": "[sandbox: moderation]"})
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert view.state == "failed"
    assert not view.xcoms.get("apimart_generation_link")
    assert f"{sandbox.base_url}/v1/tasks/" not in run.log


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
@pytest.mark.parametrize("dialect", ["at_once", "older", "midjourney"])
def test_other_dialects_are_billed_once_too(lab: AirflowLab, sandbox: Sandbox, dag_id: str, dialect: str) -> None:
    sandbox.configure(dialect=dialect)
    run = lab.start_run(dag_id)
    assert not run.drive(sandbox.connection_json(), crash="id written")
    run.recover()
    run.drive(sandbox.connection_json())
    view = run.view("generate")
    assert view.state == "success"
    assert view.returned["url"]
    assert sandbox.billed == 1
