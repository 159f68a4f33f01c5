"""What several tries of a task report: each generation is counted once, and no known cost is forgotten."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.events.metrics import COMPLETED, DOLLARS, FAILED, REFUSED, SUBMITTED, GenerationMetrics
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.page_index.entry import Kind
from airflow_provider_apimart.plugin.index import Index
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from tests.batch.support import run_trigger
from tests.page import content

FAILS_ONCE = "[sandbox: fail once no]"


class Counters(Counter[str]):
    """Stands in for Airflow's statistics, which are read once in a process."""

    def incr(self, name: str, count: float = 1, *, tags: dict[str, str]) -> None:
        self[name] += count  # type: ignore[assignment]  # dollars are fractions

    def timing(self, name: str, value: object, *, tags: dict[str, str]) -> None:
        """Take a time."""


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", (tmp_path / "records").as_uri())
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "status_policy", RetryPolicy(max_requests=2, first=0.05, longest=0.05))


@pytest.fixture
def counters(monkeypatch: pytest.MonkeyPatch) -> Counters:
    counted = Counters()
    monkeypatch.setattr(GenerationMetrics, "_stats", counted)
    return counted


def image(**arguments: Any) -> ApimartImageGenerationOperator:
    given: dict[str, Any] = {"model": content.IMAGE_MODEL, "prompt": "a cat", "allow_private_hosts": True}
    return ApimartImageGenerationOperator(task_id="draw", poll_interval=0.05, **given | arguments)


def run(number: int, **arguments: Any) -> dict[str, Any]:
    """Run a try of the task to its end, with a trigger where it defers."""
    of = content.context("d", task_id="draw", try_number=number)
    try:
        return image(**arguments).execute(of)
    except TaskDeferred as deferred:
        event = run_trigger(deferred.trigger)
        return image(**arguments).execute_complete(of, event, **deferred.kwargs or {})


def pages(tmp_path: Path) -> list[Any]:
    """Return what the pages show of the task's generations."""
    index = Index((tmp_path / "records").as_uri())
    return [known for known in index.entries().values() if known.entry.kind is Kind.GENERATION]


def run_broken(number: int, step: str, error: Exception, **arguments: Any) -> None:
    """Run a try of the task in which a step of the operator raises an error."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(ApimartImageGenerationOperator, step, fail)
        run(number, **arguments)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    "error", [errors.ApimartDownloadError("the file host is down"), OSError("no space is left"), KeyError("a bug")]
)
def test_a_generation_whose_files_are_saved_late_is_counted_once(
    deferrable: bool, error: Exception, counters: Counters, sandbox: Sandbox, tmp_path: Path
) -> None:
    where = {"destination": (tmp_path / "saved").as_uri(), "deferrable": deferrable}
    for number in (1, 2, 3):
        with pytest.raises(type(error)):
            run_broken(number, "save_outputs", error, **where)
        (known,) = pages(tmp_path)
        assert (known.item.status, known.entry.cost) == ("completed", sandbox.dollars)
    assert run(4, **where)["files"]
    assert sandbox.billed == 1
    assert (counters[SUBMITTED], counters[COMPLETED]) == (1, 1)
    assert counters[DOLLARS] == pytest.approx(float(sandbox.dollars))


@pytest.mark.parametrize("status", ["unauthorized", "server_error", "not_found"])
def test_a_later_try_that_cannot_read_the_status_forgets_no_cost(
    status: str, counters: Counters, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"destination": (tmp_path / "saved").as_uri()}
    with pytest.raises(OSError, match="full"):
        run_broken(1, "save_outputs", OSError("the disk is full"), **where)
    if status == "unauthorized":
        revoked = sandbox.connection_json().replace(sandbox.api_key, "sk-revoked")
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", revoked)
    elif status == "not_found":
        sandbox.reset()
    else:
        sandbox.inject(Fault("server_error", on="status", times=100))
    before = pages(tmp_path)[0].entry.cost
    with pytest.raises(errors.ApimartError):
        run(2, **where)
    (known,) = pages(tmp_path)
    assert known.item.status == "completed"
    assert known.entry.cost == before > 0
    assert known.item.short_reason
    assert counters[COMPLETED] == 1
    assert counters[REFUSED] == 0


def test_a_submit_whose_reply_was_lost_is_counted_once(counters: Counters, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("lost_answer"))
    run(1)
    assert sandbox.billed == 1
    assert (counters[SUBMITTED], counters[COMPLETED]) == (1, 1)


def test_a_submit_that_a_later_try_finds_is_counted_once(
    counters: Counters, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.inject(Fault("lost_answer"))
    monkeypatch.setattr(ApimartHook, "submit_policy", RetryPolicy(max_requests=1, max_unknown=1))
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        run(1)
    assert counters[SUBMITTED] == 0
    run(2)
    assert sandbox.billed == 1
    assert (counters[SUBMITTED], counters[COMPLETED]) == (1, 1)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_failure_that_this_try_has_waited_for_is_counted_once(
    deferrable: bool, counters: Counters, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(errors.ApimartGenerationFailedError):
        run(1, prompt=FAILS_ONCE, deferrable=deferrable)
    run(2, prompt=FAILS_ONCE, deferrable=deferrable)
    assert (counters[SUBMITTED], counters[FAILED], counters[COMPLETED]) == (2, 1, 1)
    assert sorted(known.item.status for known in pages(tmp_path)) == ["completed", "failed"]
    assert sandbox.billed == 1


def test_a_failure_that_a_later_try_finds_is_counted_once(counters: Counters, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=600)
    with pytest.raises(errors.ApimartWaitTimeoutError):
        run(1, prompt=FAILS_ONCE, timeout=0.01)
    sandbox.complete_all()
    sandbox.configure(seconds=0.3)
    run(2, prompt=FAILS_ONCE)
    assert (counters[SUBMITTED], counters[FAILED], counters[COMPLETED]) == (2, 1, 1)
    assert sorted(known.item.status for known in pages(tmp_path)) == ["completed", "failed"]


@pytest.mark.parametrize("written", [None, "", "garbage with spaces", 7])
def test_a_deferred_sensor_returns_what_it_has_waited_for_whatever_its_argument_renders_to(
    written: Any, sandbox: Sandbox
) -> None:
    sandbox.configure(seconds=600)
    sent = image(wait_for_completion=False).execute(content.context("d", task_id="draw"))
    of = content.context("d", task_id="wait")
    waiting = ApimartGenerationSensor(task_id="wait", generation=sent, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(of)
    sandbox.complete_all()
    event = run_trigger(deferred.value.trigger)
    resumed = ApimartGenerationSensor(task_id="wait", generation=written, deferrable=True)
    assert resumed.execute_complete(of, event, **deferred.value.kwargs or {})["url"]


def test_one_object_that_is_run_twice_reports_each_run_by_itself(
    counters: Counters, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = image()
    task.execute(content.context("d", task_id="draw"))
    revoked = sandbox.connection_json().replace(sandbox.api_key, "sk-revoked")
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", revoked)
    task.prompt, task.__dict__["hook"] = "another", ApimartHook()
    with pytest.raises(errors.ApimartAuthenticationError):
        task.execute(content.context("d", "run 2", task_id="draw"))
    assert (counters[COMPLETED], counters[REFUSED]) == (1, 1)
    assert not task.lineage_facts


def test_random_interruptions_count_each_generation_once(counters: Counters, sandbox: Sandbox, tmp_path: Path) -> None:
    """Anything may be raised after any step of a report."""
    rng = random.Random(5)
    steps = ("save_outputs", "link", "_push_keys")
    where = {"destination": (tmp_path / "saved").as_uri()}
    for number in range(1, 9):
        with pytest.raises(RuntimeError):
            run_broken(number, rng.choice(steps), RuntimeError("killed"), **where)
    run(9, **where)
    assert sandbox.billed == 1
    assert (counters[SUBMITTED], counters[COMPLETED]) == (1, 1)


def test_a_record_that_cannot_be_read_hides_no_failure(
    counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(1, wait_for_completion=False)
    for file in (tmp_path / "records").rglob("*.facts*"):
        file.write_bytes(b"damaged")
    for file in (tmp_path / "records").rglob("fence.json"):
        file.write_bytes(b"damaged")
    events: list[Any] = []
    monkeypatch.setattr(ApimartImageGenerationOperator, "_event_handlers", lambda *_: [events.append])
    with pytest.raises(errors.ApimartRecordError):
        run(2)
    assert [event.kind for event in events] == ["failed"]


def test_a_failure_names_the_key_of_the_user(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(seconds=600)
    with pytest.raises(errors.ApimartWaitTimeoutError):
        run(1, key="P-1", timeout=0.01)
    (known,) = pages(tmp_path)
    assert known.item.id == "P-1"
