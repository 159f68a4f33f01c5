"""The generation sensor with the sandbox and without a running Airflow."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.wait_event import to_event
from airflow_provider_apimart.api.waiting import Verdict, Wait, WaitDecision
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.exceptions import (
    ApimartAuthenticationError,
    ApimartError,
    ApimartInvalidRequestError,
    ApimartStatusUnreadableError,
)
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from tests.hooks.support import http, quick_hook, wire

TROUBLES: list[tuple[str, int, type[ApimartError]]] = [
    ("unauthorized", 1, ApimartAuthenticationError),
    ("bad_gateway", 99, ApimartStatusUnreadableError),
]


class Context(dict[str, Any]):
    """As much of a context as the sensor uses."""

    try_number = 1

    def __init__(self) -> None:
        super().__init__(ti=self)
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def generation_id(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "status_policy", RetryPolicy(max_requests=3, first=0.01, longest=0.01))
    payload = {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"}
    submission = ApimartHook().submit_generation("image", payload, idempotency_key="k")
    return str(submission.generation.generation_id)


def sensor(generation: Any, **arguments: Any) -> ApimartGenerationSensor:
    return ApimartGenerationSensor(task_id="wait", generation=generation, **arguments)


@pytest.mark.parametrize(("kind", "times", "error"), TROUBLES)
@pytest.mark.parametrize("deferrable", [False, True])
def test_trouble_is_raised_as_what_it_is(
    sandbox: Sandbox, generation_id: str, kind: str, times: int, error: type[ApimartError], deferrable: bool
) -> None:
    sandbox.inject(Fault(kind, on="status", times=times))
    with pytest.raises(error) as caught:
        sensor(generation_id, deferrable=deferrable).execute(Context())  # type: ignore[arg-type]  # a part of one
    assert generation_id in str(caught.value)


PAGES = {
    "404": http("404 Not Found", b"<html><title>404 Not Found</title>nginx</html>", headers="Server: nginx\r\n"),
    "403": http("403 Forbidden", b"<html><title>Just a moment...</title></html>", headers="Server: cloudflare\r\n"),
    "302": http("302 Found", headers="Location: https://login.example/\r\n"),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_page_on_the_third_read_is_no_verdict(monkeypatch: pytest.MonkeyPatch, page: str, mode: str) -> None:
    running = http("200 OK", b'{"data":{"id":"task_1","status":"processing"}}')
    done = http("200 OK", b'{"data":{"id":"task_1","status":"completed","result":{"images":[{"url":"https://x/a"}]}}}')
    # A 404 may also come from a route that this installation lacks, so the older one is asked as well.
    with wire(running, running, *[PAGES[page]] * (2 if page == "404" else 1), done) as server:
        quick_hook(monkeypatch, server.url)
        monkeypatch.setattr(ApimartHook, "status_policy", RetryPolicy(max_requests=3, first=0.01, longest=0.01))
        wait = sensor("task_1", mode=mode, poke_interval=0.01)
        looked = [wait.poke(Context()) for _ in range(3)]  # type: ignore[arg-type]  # a part of one
    assert [each.is_done for each in looked] == [False, False, True]
    assert (looked[-1].xcom_value or {})["url"] == "https://x/a"


@pytest.mark.parametrize(("kind", "times", "error"), TROUBLES)
@pytest.mark.parametrize("leniency", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_trouble_skips_where_that_is_asked_for(
    sandbox: Sandbox,
    generation_id: str,
    kind: str,
    times: int,
    error: type[ApimartError],
    leniency: str,
    deferrable: bool,
) -> None:
    sandbox.inject(Fault(kind, on="status", times=times))
    lenient = sensor(generation_id, deferrable=deferrable, **{leniency: True})
    with pytest.raises(AirflowSkipException):
        lenient.execute(Context())  # type: ignore[arg-type]  # a part of one
    event = to_event(WaitDecision(Verdict.ERROR, error=error("from the trigger")))
    with pytest.raises(AirflowSkipException):
        lenient.execute_complete(Context(), event)  # type: ignore[arg-type]  # a part of one


def test_it_reads_once_before_it_defers(sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
    # So that it still runs, however busy the machine is.
    sandbox.configure(seconds=600)
    generation_id = request.getfixturevalue("generation_id")
    with pytest.raises(TaskDeferred):
        sensor(generation_id, deferrable=True).execute(Context())  # type: ignore[arg-type]  # a part of one
    assert [request.route for request in sandbox.requests].count("status") == 1


def test_what_is_finished_already_needs_no_trigger(sandbox: Sandbox, generation_id: str) -> None:
    sandbox.complete_all()
    returned = sensor(generation_id, deferrable=True).execute(Context())  # type: ignore[arg-type]  # a part of one
    assert returned["status"] == "completed"


def test_what_was_handed_over_finished_is_returned_without_asking(sandbox: Sandbox, generation_id: str) -> None:
    sandbox.complete_all()
    finished = ApimartHook().get_generation(generation_id).to_xcom()
    asked = len(sandbox.requests)
    returned = sensor(finished).execute(Context())  # type: ignore[arg-type]  # a part of one
    assert returned == returnable(finished)
    assert len(sandbox.requests) == asked


@pytest.mark.parametrize("event", [None, {}, {"verdict": "sideways"}, "done", {"verdict": "completed"}])
def test_an_event_that_says_nothing_is_no_success(generation_id: str, event: Any) -> None:
    with pytest.raises(ApimartStatusUnreadableError, match="keeps running and is charged"):
        sensor(generation_id).execute_complete(Context(), event, generation_id)  # type: ignore[arg-type]  # a part


def test_a_passed_deadline_is_airflows_own_time_out(generation_id: str) -> None:
    event = to_event(Wait(generation_id, started_at=0).timed_out(None, now=60.0))
    with pytest.raises(AirflowSensorTimeout, match=generation_id):
        sensor(generation_id).execute_complete(Context(), event, generation_id)  # type: ignore[arg-type]  # a part


@pytest.mark.parametrize("named", ["", None, [], {}, {"status": "submitted"}, 7])
def test_what_names_no_generation_is_refused(sandbox: Sandbox, generation_id: str, named: Any) -> None:
    asked = len(sandbox.requests)
    with pytest.raises(ApimartInvalidRequestError, match="names no generation"):
        sensor(named).execute(Context())  # type: ignore[arg-type]  # a part of one
    assert len(sandbox.requests) == asked


def test_the_interval_adapts_unless_it_is_set() -> None:
    adaptive, fixed = sensor("task_1"), sensor("task_1", poke_interval=7)
    waited = {
        seconds: adaptive._get_next_poke_interval(0.0, partial(float, seconds), 1) for seconds in (0, 100, 10_000)
    }
    assert waited[0] < waited[100] < waited[10_000] <= 60
    assert fixed._get_next_poke_interval(0.0, lambda: 10_000, 1) == 7
