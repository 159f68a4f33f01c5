"""Files as references, over real HTTP: each content is uploaded once, and no upload makes the same work another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME, UPLOAD_LIFETIME, Modality
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.durable.file_record import FileRecord
from airflow_provider_apimart.durable.idempotency_key import key_scope
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import Record, StateStoreRecord
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.durable.uploads import (
    KeptUpload,
    RecordedUploads,
    UploadRegistry,
    UploadsInMemory,
    upload_unless_kept,
)
from airflow_provider_apimart.hooks.reference_files import ReferenceFiles
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.durable.stores import StateStore
from tests.lab.references import PNG, write_references

HOUR = 3600.0
ONCE = RetryPolicy(max_requests=1, max_unknown=1, first=0.0, longest=0.0)


class Task:
    """
    A task instance that pays for one generation with two references.

    :param store: Where its record is kept; ``None`` for files.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, store: StateStore | None, item: str | None = None) -> None:
        self.tries = 0
        self.folder = folder
        self.sandbox = sandbox
        self.references = write_references(folder)
        self.store = store
        self.item = item
        self.marker = 3
        self.transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))

    def request(self) -> PaidRequest:
        references = [self.references["reference"], self.references["same"], {"url": self.references["other"]}]
        payload = {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat", "image_urls": references}
        return ReferenceFiles().request("apimart_default", Modality.IMAGE, payload)

    @property
    def identity(self) -> TaskIdentity:
        return TaskIdentity("dag", "run", "task", -1, self.marker, self.item)

    def record(self) -> Record:
        """Open the record as a new process does."""
        ahead: Callable[[], float] = self.sandbox.server.clock.now
        if self.store is None:
            return FileRecord(str(self.folder / "records"), self.identity, ahead)
        return StateStoreRecord(self.store, self.tries, ahead)

    def paid_once(self, uploads: UploadRegistry | None = None, request: PaidRequest | None = None) -> PaidOnce:
        ahead: Callable[[], float] = self.sandbox.server.clock.now
        self.tries += 1
        return PaidOnce(
            task=self.identity,
            request=request or self.request(),
            record=self.record(),
            known_uploads=uploads,
            key_scope=key_scope(self.sandbox.base_url, self.sandbox.api_key),
            submit_policy=ONCE,
            status_policy=ONCE,
            upload_policy=ONCE,
            clock=ahead,
        )

    def run(self, uploads: UploadRegistry | None = None, request: PaidRequest | None = None) -> str | None:
        """Let one try run, as a process of its own does."""
        return self.transport.run(self.paid_once(uploads, request).obtain()).generation_id

    def clear(self) -> None:
        self.marker += 4

    @property
    def bodies(self) -> list[Any]:
        return [request.payload for request in self.sandbox.requests if request.route == "submit"]


@pytest.fixture(params=["state store", "files"])
def task(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Iterator[Task]:
    task = Task(sandbox, tmp_path, StateStore() if request.param == "state store" else None)
    yield task
    task.transport.session.close()


def test_each_content_is_uploaded_once_and_its_url_sent(sandbox: Sandbox, task: Task) -> None:
    task.run()
    first, same, other = task.bodies[0]["image_urls"]
    assert first == same != other["url"]
    assert sandbox.uploaded == 2
    sandbox.complete_all()
    assert sandbox.generations[0].status == "completed"


def test_a_lost_answer_is_followed_by_the_identical_body(sandbox: Sandbox, task: Task) -> None:
    sandbox.inject(Fault("lost_answer"))
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        task.run()
    task.run()
    first, second = task.bodies
    assert first == second
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)


def test_a_repetition_is_identical_even_if_the_registry_changed(sandbox: Sandbox, task: Task) -> None:
    """The URLs that were sent stand in the record; a registry that others write to may have newer ones."""
    sandbox.inject(Fault("lost_answer"))
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        task.run()
    others = UploadsInMemory()
    for file in task.request().files.values():
        others.put(file.sha256, KeptUpload("https://elsewhere.example/1.png", 1e12))
    task.run(others)
    task.run(UploadsInMemory())
    assert task.bodies[0] == task.bodies[1]
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)


def test_a_repetition_on_the_last_minutes_of_its_key_finds_its_uploads_alive(sandbox: Sandbox, task: Task) -> None:
    """The upload is as old as one may be that serves a submit, and that submit never arrived."""
    task.tries += 1
    uploads = RecordedUploads(task.record())
    sandbox.inject(Fault("bad_gateway", when="before"))
    for file in task.request().files.values():
        task.transport.run(upload_unless_kept(file, uploads, ONCE, sandbox.server.clock.now))
    sandbox.advance(47 * HOUR - 60)
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        task.run()
    sandbox.advance(24 * HOUR - 600)
    task.run()
    sandbox.complete_all()
    assert task.bodies[0] == task.bodies[1]
    assert sandbox.generations[0].status == "completed"
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)


def test_an_upload_serves_a_submit_only_if_it_outlives_the_key() -> None:
    made = 1_000_000.0
    upload = KeptUpload("https://u/1", made + UPLOAD_LIFETIME.total_seconds())
    assert upload.serves_a_submit(made + 47 * HOUR)
    assert not upload.serves_a_submit(made + 47 * HOUR + 1)
    assert made + 47 * HOUR + IDEMPOTENCY_KEY_LIFETIME.total_seconds() < upload.expires_at


@pytest.mark.parametrize(("hours", "uploaded"), [(46.9, 2), (47.1, 4), (72.1, 4)])
def test_an_upload_that_is_nearly_over_is_repeated_for_a_new_submit(
    sandbox: Sandbox, task: Task, hours: float, uploaded: int
) -> None:
    sandbox.configure(task_retention=100 * HOUR)
    sandbox.fail(str(task.run()))
    sandbox.advance(hours * HOUR)
    task.run()
    sandbox.complete_all()
    assert [generation.status for generation in sandbox.generations] == ["failed", "completed"]
    assert (sandbox.billed, sandbox.uploaded) == (1, uploaded)


def test_a_generation_that_exists_is_taken_up_without_an_upload(sandbox: Sandbox, task: Task) -> None:
    made = task.run()
    sandbox.advance(71 * HOUR)
    assert task.run() == made
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)


def test_a_failed_generation_is_submitted_again_with_the_same_uploads(sandbox: Sandbox, task: Task) -> None:
    sandbox.fail(str(task.run()))
    task.run()
    assert task.bodies[0] == task.bodies[1]
    assert (sandbox.accepted, sandbox.billed, sandbox.uploaded) == (2, 1, 2)


def test_a_changed_content_is_another_input(sandbox: Sandbox, task: Task, caplog: pytest.LogCaptureFixture) -> None:
    left_behind = task.run()
    Path(task.references["other"]).write_bytes(PNG + b"a dog")
    assert task.run() != left_behind
    assert sandbox.uploaded == 3
    assert f"Generation {left_behind} is left behind" in caplog.text


def test_a_content_that_changes_while_the_task_runs_is_never_paid_for(sandbox: Sandbox, task: Task) -> None:
    request = task.request()
    Path(task.references["other"]).write_bytes(PNG + b"a pig")
    with pytest.raises(errors.ApimartError, match="was changed while the task ran") as raised:
        task.run(request=request)
    assert not isinstance(raised.value, AirflowFailException)
    assert sandbox.accepted == 0
    task.run()
    assert sandbox.billed == 1


@pytest.mark.parametrize("trouble", ["server_error", "rate_limited", "lost_answer"])
def test_an_upload_that_failed_is_tried_again(sandbox: Sandbox, task: Task, trouble: str) -> None:
    sandbox.inject(Fault(trouble, on="upload", retry_after=0.0))
    paid = replace(task.paid_once(), upload_policy=RetryPolicy(max_requests=3, first=0.0, longest=0.0))
    task.transport.run(paid.obtain())
    assert sandbox.billed == 1


def test_an_upload_that_was_given_up_costs_nothing(sandbox: Sandbox, task: Task) -> None:
    sandbox.inject(Fault("server_error", on="upload"))
    with pytest.raises(errors.ApimartServerError):
        task.run()
    assert sandbox.accepted == 0
    task.run()
    assert sandbox.billed == 1


def test_a_retry_of_a_submit_that_never_arrived_delivers(sandbox: Sandbox, task: Task) -> None:
    sandbox.inject(Fault("closed_before_reading"))
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        task.run()
    task.run()
    assert sandbox.billed == 1


def test_tries_that_live_at_once_are_billed_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """The first was thought dead. Both may have uploaded; each may be refused, and a retry pays for no second one."""
    store = StateStore()
    tasks = [Task(sandbox, tmp_path, store) for _ in range(2)]
    tasks[1].tries = 1

    def outcome(task: Task) -> str | None:
        try:
            return task.run()
        except (errors.ApimartIndeterminateOutcomeError, errors.ApimartSupersededError):
            return None

    with ThreadPoolExecutor(2) as pool:
        ids = set(pool.map(outcome, tasks))
    assert ids - {None} <= {generation.generation_id for generation in sandbox.generations}
    assert tasks[1].run() == sandbox.generations[0].generation_id
    assert sandbox.billed == 1


def test_many_items_share_a_registry_in_one_event_loop(sandbox: Sandbox, tmp_path: Path) -> None:
    tasks = [Task(sandbox, tmp_path, StateStore(), item=str(number)) for number in range(20)]
    uploads = UploadsInMemory()

    async def run() -> None:
        async with AiohttpTransport(ClientSettings(sandbox.api_key, sandbox.base_url)) as transport:
            for file in tasks[0].request().files.values():
                await transport.run(upload_unless_kept(file, uploads, ONCE, sandbox.server.clock.now))
            await asyncio.gather(*(transport.run(task.paid_once(uploads).obtain()) for task in tasks))

    asyncio.run(run())
    assert (sandbox.billed, sandbox.uploaded) == (20, 2)


def test_the_record_knows_uploads_and_what_was_sent(task: Task) -> None:
    task.run()
    digests = {file.sha256 for file in task.request().files.values()}
    record = task.record().read()
    (attempt,) = record.attempts.values()
    assert record.uploads.keys() == digests
    assert attempt.uploads.keys() == {f"sha256:{digest}" for digest in digests}
