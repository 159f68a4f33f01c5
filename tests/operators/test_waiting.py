"""Operator and sensor: what they report of a generation, against the sandbox and without a running Airflow."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    TaskDeferred,
)

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.events.generation_event import GenerationEvent
from airflow_provider_apimart.events.log import EventLog
from airflow_provider_apimart.events.metrics import (
    COMPLETED,
    DOLLARS,
    FAILED,
    MISSING_OUTPUTS,
    REFUSED,
    SUBMITTED,
    GenerationMetrics,
)
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from tests.batch.support import run_trigger

PAYLOAD = {"model": "gemini-3-pro-image-preview", "prompt": "a cat"}


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Each test has records of its own: its sandbox knows no generation of another.
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", tmp_path.as_uri())
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    policy = RetryPolicy(max_requests=2, first=0.05, longest=0.05, new_seconds=120.0)
    monkeypatch.setattr(ApimartHook, "status_policy", policy)


class Ti(SimpleNamespace):
    """As much of a task instance as operators use."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def context(try_number: int = 1, **ti: Any) -> Any:
    facts = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1, "pushed": {}}
    return {"ti": Ti(**facts, try_number=try_number, start_date=datetime.now(UTC), **ti)}


def image(**arguments: Any) -> ApimartImageGenerationOperator:
    return ApimartImageGenerationOperator(task_id="t", poll_interval=0.05, **{**PAYLOAD, **arguments})


def submitted() -> str:
    return str(ApimartHook().submit_generation("image", PAYLOAD, idempotency_key="k").generation.generation_id)


class Counters(Counter[str]):
    """Stands in for Airflow's statistics, which are read once in a process."""

    tags: dict[str, str]

    def incr(self, name: str, count: float = 1, *, tags: dict[str, str]) -> None:
        self[name] += count  # type: ignore[assignment]  # dollars are fractions
        self.tags = tags

    def timing(self, name: str, value: object, *, tags: dict[str, str]) -> None:
        """Take a time."""


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    counted = Counters()
    monkeypatch.setattr(GenerationMetrics, "_stats", counted)
    return counted


@pytest.mark.parametrize(("arguments", "requested"), [({}, 1), ({"n": "2"}, 2), ({"parameters": {"n": 3}}, 3)])
def test_what_was_requested_stands_beside_what_came(arguments: dict[str, Any], requested: int) -> None:
    returned = image(**arguments).execute(context())
    assert returned["requested"] == requested == len(returned["urls"])


def test_a_shortage_is_a_warning_and_a_counter(capsys: pytest.CaptureFixture[str], counters: Counters) -> None:
    returned = image(n=3, prompt="[sandbox: short] cats").execute(context())
    assert (returned["requested"], len(returned["outputs"])) == (3, 2)
    assert "1 of 3 are missing" in capsys.readouterr().out
    assert counters[MISSING_OUTPUTS] == 1


def test_a_sensor_knows_what_the_operator_requested(capsys: pytest.CaptureFixture[str], counters: Counters) -> None:
    sent = image(n=3, prompt="[sandbox: short] cats", wait_for_completion=False).execute(context())
    returned = ApimartGenerationSensor(task_id="wait", generation=sent, poke_interval=0.05).execute(context())
    assert returned["requested"] == 3
    assert counters[MISSING_OUTPUTS] == 1


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ({}, ["submitted", "obtained", "waiting", "completed", "available", "delivered"]),
        ({"wait_for_completion": False}, ["submitted", "obtained", "delivered"]),
        ({"prompt": "[sandbox: fail no]"}, ["submitted", "obtained", "waiting", "failed"]),
        ({"prompt": ""}, ["failed"]),
    ],
)
def test_what_happens_is_an_event_each(
    arguments: dict[str, Any], kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[GenerationEvent] = []
    monkeypatch.setattr(ApimartImageGenerationOperator, "_event_handlers", lambda *_: [events.append])
    with nullcontext() if kinds[-1] == "delivered" else pytest.raises(errors.ApimartError):
        image(**arguments).execute(context())
    assert [event.kind for event in events] == kinds
    assert {(event.modality, event.model) for event in events} == {("image", PAYLOAD["model"])}
    ids = {event.generation and event.generation.generation_id for event in events}
    assert len(ids) == 1
    assert (ids == {None}) == (kinds == ["failed"])


FAILS = "[sandbox: fail no]"


def test_a_try_that_starts_over_is_counted_as_any_other(
    counters: Counters, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_an_earlier_try = {"verdict": "deadline_passed", "try_number": 1}
    with pytest.raises(errors.ApimartGenerationFailedError):
        image(prompt=FAILS).execute_complete(context(try_number=2), of_an_earlier_try, "old")
    assert (counters[SUBMITTED], counters[FAILED]) == (1, 1)
    revoked = sandbox.connection_json().replace(sandbox.api_key, "sk-revoked")
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", revoked)
    with pytest.raises(errors.ApimartAuthenticationError):
        image(model="another").execute_complete(context(try_number=2), of_an_earlier_try, "old")
    assert (counters[SUBMITTED], counters[REFUSED]) == (1, 1)


@pytest.mark.parametrize("skips", [{"soft_fail": True}, {"never_fail": True}, {}])
def test_a_failure_that_skips_a_sensor_is_counted_once(skips: dict[str, Any], counters: Counters) -> None:
    sent = image(prompt=FAILS, wait_for_completion=False).execute(context())
    sensor = ApimartGenerationSensor(task_id="wait", generation=sent, poke_interval=0.05, **skips)
    with pytest.raises(AirflowSkipException if skips else errors.ApimartGenerationFailedError):
        sensor.execute(context())
    assert counters[FAILED] == 1


@pytest.mark.parametrize("by_id", [True, False])
def test_a_failure_is_counted_by_one_task(by_id: bool, counters: Counters) -> None:
    sent = image(prompt=FAILS, wait_for_completion=False).execute(context())
    sensor = ApimartGenerationSensor(task_id="w", generation=sent["generation_id"] if by_id else sent)
    with pytest.raises(errors.ApimartGenerationFailedError):
        sensor.execute(context())
    assert counters[FAILED] == (0 if by_id else 1)


def test_a_refused_upload_of_a_result_refuses_no_generation(
    counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise errors.ApimartAuthenticationError("the key was revoked")

    monkeypatch.setattr(ApimartHook, "with_urls", refuse)
    sent = image(wait_for_completion=False, key="another").execute(context())
    sensor = ApimartGenerationSensor(task_id="wait", generation=sent, poke_interval=0.05)
    for task in (image(), sensor):
        with pytest.raises(errors.ApimartAuthenticationError):
            task.execute(context())
    assert counters[SUBMITTED] >= 1
    assert counters[REFUSED] == 0


@pytest.mark.parametrize("broken", [EventLog, GenerationMetrics])
def test_a_report_that_fails_fails_no_paid_task(
    broken: type, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("statsd is gone")

    monkeypatch.setattr(broken, "__call__", fail)
    task = image()
    assert task.execute(context())["url"]
    assert task.lineage_facts
    assert sandbox.billed == 1
    assert "couldn't be reported everywhere" in caplog.text
    with pytest.raises(errors.ApimartInvalidRequestError):
        image(prompt="").execute(context())


def test_metrics_name_dag_and_task(counters: Counters) -> None:
    image().execute(context())
    assert counters.tags["task_id"] == "t"
    assert set(counters.tags) == {"dag_id", "task_id", "modality", "model"}


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("by_id", [True, False])
def test_a_cost_is_counted_once_by_operator_and_sensor(
    waits: bool, by_id: bool, counters: Counters, sandbox: Sandbox
) -> None:
    made = image(wait_for_completion=waits).execute(context())
    given = made["generation_id"] if by_id else made
    ApimartGenerationSensor(task_id="wait", generation=given, poke_interval=0.05).execute(context())
    counted = 0 if by_id and not waits else 1
    assert counters[COMPLETED] == counted
    assert counters[DOLLARS] == pytest.approx(float(sandbox.dollars) * counted)


def test_the_urls_are_in_the_log_and_one_result_is_behind_the_link(capsys: pytest.CaptureFixture[str]) -> None:
    task = image()
    returned = task.execute(context())
    assert f"Result 1 of 1: {returned['url']}" in capsys.readouterr().out
    assert task.generation_link == returned["url"]


@pytest.mark.parametrize(
    ("version", "base_url", "map_index", "page"),
    [
        ("3.1.0", "http://airflow/x/", -1, "http://airflow/x/dags/d/runs/r%201/tasks/t/xcom"),
        ("3.3.2", "http://airflow", 3, "http://airflow/dags/d/runs/r%201/tasks/t/mapped/3/xcom"),
        ("3.3.2", "", -1, None),
        ("3.0.6", "http://airflow", -1, None),
        ("2.11.2", "http://airflow", -1, None),
    ],
)
def test_several_results_are_behind_the_link_where_airflow_has_a_page_for_them(
    version: str, base_url: str, map_index: int, page: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    task, run = image(n=2), context()
    run["ti"].map_index, run["ti"].run_id = map_index, "r 1"
    with monkeypatch.context() as patched:
        patched.setattr("airflow.__version__", version)
        returned = task.execute(run)
    assert task.generation_link == (page or returned["url"])
    assert ("apimart_generation_link" in run["ti"].pushed) is (version == "2.11.2")


def test_nothing_is_linked_before_there_is_a_result(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    task, run = image(wait_for_completion=False), context()
    task.execute(run)
    assert task.generation_link == ""
    assert f"{sandbox.base_url}/v1" not in capsys.readouterr().out


def test_only_keys_that_are_named_are_xcoms_of_their_own() -> None:
    run = context()
    image().execute(run)
    assert set(run["ti"].pushed) - {"apimart_generation_link"} == {"generation_id", "url", "urls"}


def test_a_key_that_a_task_of_the_dag_names_is_pushed() -> None:
    with DAG("named", schedule=None, start_date=datetime(2026, 1, 1)):
        task, run = image(), context()
        outputs: Any = task.output
        ApimartGenerationSensor(task_id="reads", generation={"cost": outputs["cost"]})
    returned = task.execute(run)
    assert run["ti"].pushed["cost"] == returned["cost"]


KEYS = {"old": "sk-revoked", "new": "sk-sandbox-key"}


def use_key(name: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {**json.loads(sandbox.connection_json()), "password": KEYS[name]}
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(described))


@pytest.mark.parametrize("reader", ["hook waits", "hook reads", "sensor"])
def test_a_replaced_key_is_used_in_the_middle_of_a_wait(
    reader: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation_id = submitted()
    sandbox.complete_all()
    use_key("old", sandbox, monkeypatch)
    hook, task = ApimartHook(), ApimartGenerationSensor(task_id="wait", generation=generation_id)
    assert hook.settings == task.hook.settings
    use_key("new", sandbox, monkeypatch)
    if reader == "sensor":
        assert task.execute(context())["status"] == "completed"
    elif reader == "hook reads":
        assert hook.get_generation(generation_id).urls
    else:
        assert hook.wait_for_generation(generation_id).urls


def test_a_refused_key_that_was_not_replaced_is_sent_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    use_key("old", sandbox, monkeypatch)
    with pytest.raises(errors.ApimartAuthenticationError):
        ApimartHook().wait_for_generation("task_1")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("named_by", ["id", "output"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_new_generation_that_is_not_found_is_waited_for_by_the_sensor(
    sandbox: Sandbox, deferrable: bool, named_by: str
) -> None:
    made = image(wait_for_completion=False).execute(context())
    sandbox.inject(Fault("task_not_found", on="status", times=20))
    given = made["generation_id"] if named_by == "id" else made
    task = ApimartGenerationSensor(task_id="wait", generation=given, poke_interval=0.05, deferrable=deferrable)
    if not deferrable:
        assert task.execute(context())["status"] == "completed"
        return
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(context())
    event = run_trigger(deferral.value.trigger)
    assert task.execute_complete(context(), event)["status"] == "completed"


def test_one_404_in_the_middle_of_a_long_wait_is_survived_by_the_sensor(sandbox: Sandbox) -> None:
    made = image(wait_for_completion=False).execute(context())
    made["created"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    sandbox.inject(Fault("task_not_found", on="status", times=1))
    task = ApimartGenerationSensor(task_id="wait", generation=made, poke_interval=0.05)
    assert task.execute(context())["status"] == "completed"


class Deferrals:
    """The two tasks that defer, with a generation that never ends."""

    @staticmethod
    def operator(**arguments: Any) -> BaseOperator:
        return image(prompt="[sandbox: stuck]", deferrable=True, **arguments)

    @staticmethod
    def sensor(**arguments: Any) -> BaseOperator:
        sent = image(prompt="[sandbox: stuck]", wait_for_completion=False).execute(context())
        return ApimartGenerationSensor(task_id="wait", generation=sent, deferrable=True, **arguments)


@pytest.mark.parametrize("kind", ["operator", "sensor"])
def test_execution_timeout_holds_while_deferred(kind: str, sandbox: Sandbox) -> None:
    task = getattr(Deferrals, kind)(execution_timeout=timedelta(seconds=1))
    run = context()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(run)
    assert deferral.value.trigger.deadline == pytest.approx(run["ti"].start_date.timestamp() + 1)
    event = run_trigger(deferral.value.trigger)
    # Not AirflowSensorTimeout: execution_timeout is retried, and the retry resumes the wait.
    with pytest.raises(errors.ApimartWaitTimeoutError, match="Timeout: still"):
        task.execute_complete(context(), event)
    assert sandbox.accepted == 1


def test_the_sensors_own_timeout_is_airflows(sandbox: Sandbox) -> None:
    task: Any = Deferrals.sensor(timeout=1, execution_timeout=timedelta(hours=1))
    with pytest.raises(TaskDeferred) as deferral:
        task.execute(context())
    with pytest.raises(AirflowSensorTimeout, match="Timeout: still"):
        task.execute_complete(context(), run_trigger(deferral.value.trigger))
