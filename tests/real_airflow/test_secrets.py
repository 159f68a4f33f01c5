"""The API key appears in no log, XCom, rendered template, exception, event or row of the database."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.api.wait_event import to_event
from airflow_provider_apimart.api.waiting import Verdict, Wait, WaitDecision
from airflow_provider_apimart.exceptions import ApimartError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from airflow_provider_apimart.triggers.generation import trigger_for
from tests.lab import AirflowLab

KEY = "sk-5ecret0123456789abcdefghijklmnopqrstuvwxyz"
FAULTS = (
    ("unauthorized", "submit"),
    ("insufficient_balance", "submit"),
    ("build_request_failed", "submit"),
    ("idempotency_result_indeterminate", "submit"),
    ("lost_answer", "submit"),
    ("html_error", "submit"),
    ("redirect", "submit"),
    ("unauthorized", "status"),
    ("bad_gateway", "status"),
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(seconds=0.2, api_key=KEY)) as apimart:
        yield apimart


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
def test_no_failure_shows_the_key(lab: AirflowLab, sandbox: Sandbox, dag_id: str) -> None:
    """Every failure path, with a service that repeats the key in its messages."""
    tries = 0
    for kind, route in FAULTS:
        sandbox.clear_faults()
        sandbox.inject(Fault(kind, on=route, times=40, message=f"what is {KEY}? Bearer {KEY}"))
        run = lab.start_run(dag_id)
        run.drive(
            sandbox.connection_json(),
            policy={"first": 0.01, "longest": 0.01, "max_requests": 2, "max_unknown": 2},
        )
        view = run.view("generate")
        tries += view.try_number
        assert view.state == "failed", kind
        assert KEY not in repr(view)
    assert tries > len(FAULTS)
    assert KEY not in run.log
    assert "what is ***?" in run.log
    assert not [row for row in run.rows() if KEY in row]


def test_success_shows_no_key_either(lab: AirflowLab, sandbox: Sandbox) -> None:
    run = lab.start_run("lab_single_deferred")
    run.drive(sandbox.connection_json())
    assert run.view("generate").state == "success"
    assert KEY not in run.log
    assert not [row for row in run.rows() if KEY in row]
    assert not [request for request in sandbox.file_requests if KEY in repr(request)]


def test_no_repr_shows_the_key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    hook = ApimartHook()
    operator = ApimartImageGenerationOperator(task_id="generate", model="m", prompt="p")
    session = hook.get_conn()
    trigger = trigger_for(Wait("task_1", started_at=0), "apimart_default", 1)
    shown = [
        hook,
        hook.settings,
        session,
        session.auth,
        session.headers,
        vars(hook),
        operator,
        trigger,
        trigger.serialize(),
    ]
    assert not [each for each in shown if KEY in repr(each)]
    assert KEY not in repr(ClientSettings(KEY))


@pytest.mark.parametrize(("kind", "route"), FAULTS)
def test_no_exception_of_the_hook_carries_the_key(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: str, route: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "submit_policy", ApimartHook.connection_test_policy)
    monkeypatch.setattr(ApimartHook, "status_policy", ApimartHook.connection_test_policy)
    sandbox.inject(Fault(kind, on=route, times=9, message=f"what is {KEY}?"))
    hook = ApimartHook()
    payload = {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"}
    with pytest.raises(ApimartError) as caught:
        hook.get_generation(
            hook.submit_generation("image", payload, idempotency_key="k").generation.generation_id or ""
        )
    for error in chain(caught.value):
        assert KEY not in f"{error!r} {error} {vars(error)}"
    event = to_event(WaitDecision(Verdict.ERROR, error=caught.value))
    assert KEY not in json.dumps(event)
