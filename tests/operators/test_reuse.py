"""Reuse by generation operators, compared with what the sandbox billed."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.record_choice import record_of
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator, ApimartMusicGenerationOperator
from airflow_provider_apimart.operators.quote import ApimartQuoteOperator
from airflow_provider_apimart.operators.upload import ApimartUploadImageOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.batch.bare import task_context
from tests.batch.support import QUICK
from tests.durable.stores import StateStore
from tests.results.hostile import picture

MODEL = "gemini-3-pro-image-preview"
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def library(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setenv("AIRFLOW__APIMART__LIBRARY_PATH", str(tmp_path / "library"))
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(tmp_path / "records"))
    for name in ("submit_policy", "status_policy", "download_policy"):
        monkeypatch.setattr(ApimartHook, name, QUICK)
    sandbox.configure(seconds=0.05)
    return tmp_path / "library"


@pytest.fixture(params=["files", "state store"])
def store(request: pytest.FixtureRequest) -> StateStore | None:
    """Where the record is kept: in files, as below Airflow 3.3, or in the state store."""
    return StateStore() if request.param == "state store" else None


class Task:
    """
    A task instance, over its tries and clears.

    :param run_id: Its run; another one is another task instance.
    """

    def __init__(self, destination: Path, run_id: str, store: StateStore | None = None, **arguments: Any) -> None:
        self.destination, self.run_id, self.store = destination, run_id, store
        self.arguments = {"model": MODEL, "prompt": "a cat", "reuse_within": WEEK, **arguments}
        self.max_tries = self.try_number = 0
        self.pushed: dict[str, Any] = {}

    def run(self, *, succeeds: bool = True, **arguments: Any) -> dict[str, Any]:
        """Do a try, and store its success as Airflow does."""
        self.try_number += 1
        context = task_context(self.try_number, self.max_tries)
        context["run_id"] = context["ti"].run_id = self.run_id
        if self.store is not None:
            context["task_state_store"] = self.store
        operator = ApimartImageGenerationOperator(
            task_id="generate", destination=str(self.destination), poll_interval=0.05, **{**self.arguments, **arguments}
        )
        made = _executed(operator, context)
        self.pushed = context["ti"].pushed
        if succeeds:
            _store_success(context["ti"])
        return made

    def clear(self) -> None:
        """Do what Airflow does when a person clears it."""
        self.max_tries += 1


def _executed(operator: Any, context: Any) -> dict[str, Any]:
    try:
        made: dict[str, Any] = operator.execute(context)
    except TaskDeferred as deferred:
        trigger = deferred.trigger

        async def event() -> Any:
            return [each.payload async for each in trigger.run()].pop()

        made = operator.execute_complete(context, asyncio.run(event()))
    return made


def _store_success(ti: Any) -> None:
    from airflow_provider_apimart.compat.success import _listener_manager

    _listener_manager().hook.on_task_instance_success(previous_state=None, task_instance=SimpleNamespace(**vars(ti)))


def assert_whole(made: dict[str, Any]) -> None:
    assert made["files"]
    for file in made["files"]:
        content = Path(file["uri"].removeprefix("file://")).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (file["sha256"], file["bytes"])


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_identical_request_is_served_by_the_library(
    sandbox: Sandbox, tmp_path: Path, store: StateStore | None, deferrable: bool
) -> None:
    first = Task(tmp_path / "1", "1", store and StateStore(), n=2, deferrable=deferrable).run()
    task = Task(tmp_path / "2", "2", store, n=2, deferrable=deferrable, key="kettle", filename="{ds}/{key}_{index}")
    second = task.run()
    assert first.get("reused") is None
    assert second["reused"] == second["generation_id"] == first["generation_id"] == task.pushed["generation_id"]
    assert (second["cost"], second["status"], second.get("url"), second["urls"]) == (0, "completed", None, [])
    assert [file["sha256"] for file in second["files"]] == [file["sha256"] for file in first["files"]]
    assert [Path(file["uri"]).name for file in second["files"]] == ["kettle_0.png", "kettle_1.png"]
    assert_whole(second)
    assert sandbox.billed == 1


def test_another_parameter_is_another_request(sandbox: Sandbox, tmp_path: Path) -> None:
    others: list[dict[str, Any]] = [{}, {"size": "1:1"}, {"parameters": {"x": 1}}, {"prompt": "a dog"}, {"n": 1}]
    for number, arguments in enumerate(others):
        Task(tmp_path / str(number), str(number), **arguments).run()
    assert sandbox.billed == 5


def test_a_clear_after_the_delivery_makes_a_new_one_past_the_library(
    sandbox: Sandbox, tmp_path: Path, store: StateStore | None
) -> None:
    Task(tmp_path / "1", "1").run()
    task = Task(tmp_path / "2", "2", store)
    assert task.run().get("reused")
    task.clear()
    made = task.run()
    assert made.get("reused") is None
    assert sandbox.billed == 2
    task.clear()
    assert task.run().get("reused") is None
    assert sandbox.billed == 3


def test_a_clear_of_a_generation_of_its_own_does_not_reuse_it(
    sandbox: Sandbox, tmp_path: Path, store: StateStore | None
) -> None:
    task = Task(tmp_path / "1", "1", store)
    task.run()
    task.clear()
    assert task.run().get("reused") is None
    assert sandbox.billed == 2


def test_a_retry_returns_what_was_reused_even_if_the_library_changed(
    sandbox: Sandbox, tmp_path: Path, store: StateStore | None
) -> None:
    Task(tmp_path / "1", "1").run()
    task = Task(tmp_path / "2", "2", store)
    first = task.run(succeeds=False)
    shutil.rmtree(tmp_path / "library")
    assert task.run(succeeds=False) == first
    task.clear()
    assert task.run() == first, "it was cleared before it was delivered"
    assert sandbox.billed == 1


def test_a_running_generation_is_resumed_and_not_replaced(
    sandbox: Sandbox, tmp_path: Path, store: StateStore | None
) -> None:
    sandbox.configure(seconds=1.0)
    task = Task(tmp_path / "2", "2", store)
    with pytest.raises(errors.ApimartWaitTimeoutError):
        task.run(timeout=0.1)
    Task(tmp_path / "1", "1", reuse_within=None).run()
    assert task.run().get("reused") is None
    assert sandbox.billed == 2


def test_a_save_that_failed_is_entered_when_it_has_succeeded(sandbox: Sandbox, tmp_path: Path) -> None:
    task = Task(tmp_path / "1", "1")
    sandbox.inject(Fault("server_error", on="file", times=30))
    with pytest.raises(errors.ApimartDownloadError):
        task.run()
    assert not list((tmp_path / "library" / "entries").rglob("*.json"))
    sandbox.clear_faults()
    task.run()
    assert Task(tmp_path / "2", "2").run().get("reused")
    assert sandbox.billed == 1


def test_an_older_try_that_still_lives_pays_for_nothing(
    tmp_path: Path, sandbox: Sandbox, store: StateStore | None
) -> None:
    """It has begun before, and is about to submit when the newer try has returned a kept result."""
    Task(tmp_path / "1", "1").run()
    context = task_context(1)
    context["ti"].run_id = "2"
    if store is not None:
        context["task_state_store"] = store
    older = record_of(context)
    older.read()
    older.note(FactKind.UPLOADED, sha256="x", url="https://x", expires_at=1.0)
    older.before_post()
    task = Task(tmp_path / "2", "2", store)
    task.try_number = 1
    assert task.run().get("reused")
    with pytest.raises(errors.ApimartSupersededError):
        older.before_post()


def test_files_may_only_be_referenced(sandbox: Sandbox, tmp_path: Path) -> None:
    first = Task(tmp_path / "1", "1").run()
    second = Task(tmp_path / "2", "2", copy_reused=False).run()
    assert second["files"] == first["files"]
    assert not list((tmp_path / "2").glob("*.png"))


def test_tonights_upload_of_the_same_picture_is_the_same_reference(sandbox: Sandbox, tmp_path: Path) -> None:
    urls = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        (tmp_path / name).write_bytes(picture(3000, seed))
        upload = ApimartUploadImageOperator(task_id="upload", image=str(tmp_path / name))
        urls.append(upload.execute(task_context()))
    assert len(set(urls)) == 3
    made = [Task(tmp_path / url[-8:], url, image_urls=[url]).run() for url in urls]
    assert [bool(each.get("reused")) for each in made] == [False, True, False]
    by_file = Task(tmp_path / "f", "f", image_urls=[str(tmp_path / "b.png")], upload_references=True).run()
    assert by_file["reused"]
    assert sandbox.uploaded == 3


def test_a_url_that_a_generation_uploaded_counts_as_its_file(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(3000, 1))
    Task(tmp_path / "1", "1", image_urls=[str(tmp_path / "a.png")], upload_references=True).run()
    (url,) = sandbox.generations[0].payload["image_urls"]
    assert Task(tmp_path / "2", "2", image_urls=[url]).run().get("reused")


def test_a_library_of_the_operator_goes_before_the_configured_one(sandbox: Sandbox, tmp_path: Path) -> None:
    Task(tmp_path / "1", "1").run()
    Task(tmp_path / "2", "2", library=str(tmp_path / "other")).run()
    assert sandbox.billed == 2
    assert Task(tmp_path / "3", "3", library=(tmp_path / "other").as_uri()).run().get("reused")


def test_a_limit_is_no_matter_for_what_is_reused(sandbox: Sandbox, tmp_path: Path) -> None:
    Task(tmp_path / "1", "1").run()
    assert Task(tmp_path / "2", "2", max_cost="0.000001").run().get("reused")
    with pytest.raises(errors.ApimartCostLimitError):
        Task(tmp_path / "3", "3", max_cost="0.000001", prompt="a dog").run()


def test_without_its_library_a_limit_is_not_spent(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(errors.ApimartLibraryError):
        Task(tmp_path / "1", "1", library=str(tmp_path / "file"), max_cost=5).run()
    assert sandbox.accepted == 0
    assert Task(tmp_path / "1", "1", library=str(tmp_path / "file")).run().get("reused") is None


def test_a_quote_says_what_would_be_reused_and_quotes_the_rest(sandbox: Sandbox, tmp_path: Path) -> None:
    Task(tmp_path / "1", "1").run()
    requests = [{"prompt": "a cat"}, {"prompt": "a cat"}, {"prompt": "a dog"}]

    def quoted(**arguments: Any) -> dict[str, Any]:
        operator = ApimartQuoteOperator(task_id="quote", requests=requests, model=MODEL, **arguments)
        return operator.execute(task_context())

    everything, rest = quoted(), quoted(reuse_within=WEEK)
    assert (everything["items"], everything["reused"]) == (3, 0)
    assert (rest["items"], rest["reused"]) == (3, 1)
    assert rest["cost"] == pytest.approx(everything["cost"] * 2 / 3)
    assert rest["by_model"][MODEL]["items"] == 2
    (tmp_path / "file").write_text("no directory")
    broken = quoted(reuse_within=WEEK, library=str(tmp_path / "file"))
    assert (broken["reused"], broken["cost"]) == (0, everything["cost"])
    assert "can't be read" in broken["warnings"][0]
    assert sandbox.billed == 1


def test_music_is_reused_with_all_its_files(sandbox: Sandbox, tmp_path: Path) -> None:
    def compose(folder: str) -> dict[str, Any]:
        operator = ApimartMusicGenerationOperator(
            task_id="generate",
            model="suno",
            prompt="rain",
            poll_interval=0.05,
            destination=str(tmp_path / folder),
            reuse_within=WEEK,
        )
        context = task_context()
        context["run_id"] = context["ti"].run_id = folder
        return operator.execute(context)

    first, second = compose("1"), compose("2")
    assert second["reused"] == first["generation_id"]
    assert second["result"] == first["result"]
    assert [each["kind"] for each in second["outputs"]] == [each["kind"] for each in first["outputs"]]
    assert_whole(second)


@pytest.mark.parametrize("given", [{"reuse_within": WEEK}, {"library": "/library"}])
def test_reuse_needs_a_destination(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(given))} needs a destination"):
        ApimartImageGenerationOperator(task_id="generate", model=MODEL, prompt="a cat", **given)


def test_without_a_destination_a_configured_library_is_left_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    operator = ApimartImageGenerationOperator(task_id="generate", model=MODEL, prompt="a cat", poll_interval=0.05)
    assert operator.execute(task_context())["url"]
    assert not (tmp_path / "library" / "entries").exists()
