"""Two tries of one task instance that live at once, the first of which was thought dead."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.requests_transport import RequestsTransport
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.durable.file_record import FileRecord
from airflow_provider_apimart.durable.idempotency_key import key_scope
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import Record, StateStoreRecord
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.exceptions import ApimartSupersededError
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.durable.stores import StateStore

TASK = TaskIdentity("dag", "run", "task", -1, 0)


def test_one_that_was_stopped_between_reading_and_submitting_pays_nothing(tmp_path: Path) -> None:
    """Also where the service ignores the key: the record alone tells it that the other one has submitted."""
    with Sandbox(SandboxSettings(seconds=0.1, ignore_idempotency=True)) as sandbox:
        transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))
        record = FileRecord(tmp_path.as_uri(), TASK)
        record.read()
        made = transport.run(in_files(sandbox, FileRecord(tmp_path.as_uri(), TASK)).obtain())
        with pytest.raises(ApimartSupersededError):
            transport.run(in_files(sandbox, record).obtain())
        later = transport.run(in_files(sandbox, FileRecord(tmp_path.as_uri(), TASK)).obtain())
        assert later.generation_id == made.generation_id
        assert sandbox.accepted == 1


@pytest.mark.parametrize("ignores_key", [False, True])
def test_one_that_is_two_tries_old_pays_nothing(ignores_key: bool) -> None:
    """The try between them died before it noted anything, and a clear gave the newest another key."""
    store = StateStore()
    with Sandbox(SandboxSettings(seconds=0.1, ignore_idempotency=ignores_key)) as sandbox:
        transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))
        oldest = StateStoreRecord(store, 1)
        oldest.read()
        cleared = replace(TASK, clear_marker=2)
        made = transport.run(of_record(sandbox, StateStoreRecord(store, 3), cleared).obtain())
        with pytest.raises(ApimartSupersededError):
            transport.run(of_record(sandbox, oldest).obtain())
        later = transport.run(of_record(sandbox, StateStoreRecord(store, 4), cleared).obtain())
        assert later.generation_id == made.generation_id
        assert sandbox.accepted == 1


@pytest.mark.parametrize("store", [None, "state store"])
def test_one_that_has_decided_before_the_older_one_submitted_pays_nothing(store: str | None, tmp_path: Path) -> None:
    """It reads prices or uploads files between its decision and its submit."""
    rows = StateStore() if store else None

    def record(number: int) -> Record:
        return FileRecord(tmp_path.as_uri(), TASK) if rows is None else StateStoreRecord(rows, number)

    with Sandbox(SandboxSettings(seconds=0.1, ignore_idempotency=True)) as sandbox:
        transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))
        made: list[Generation] = []

        def older_submits() -> Flow[None]:
            made.append(transport.run(of_record(sandbox, record(1)).obtain()))
            yield from ()

        newer = replace(of_record(sandbox, record(2), replace(TASK, clear_marker=1)), before_submit=older_submits)
        with pytest.raises(ApimartSupersededError, match="An older try"):
            transport.run(newer.obtain())
        later = transport.run(of_record(sandbox, record(3)).obtain())
        assert [later.generation_id] == [each.generation_id for each in made]
        assert sandbox.accepted == 1


def in_files(sandbox: Sandbox, record: FileRecord) -> PaidOnce:
    return of_record(sandbox, record)


def of_record(sandbox: Sandbox, record: Record, task: TaskIdentity = TASK) -> PaidOnce:
    return PaidOnce(
        task=task,
        request=PaidRequest(
            "apimart_default", Modality.IMAGE, {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"}
        ),
        record=record,
        key_scope=key_scope(sandbox.base_url, sandbox.api_key),
    )


@pytest.mark.parametrize("in_files", [False, True])
def test_they_share_one_generation(in_files: bool, tmp_path: Path) -> None:
    """The newer one goes on; the older one has the same generation, or is told that it was replaced."""
    store = StateStore()
    with Sandbox(SandboxSettings(seconds=5, submit_delay=0.5)) as sandbox, ThreadPoolExecutor(2) as pool:

        def obtain(try_number: int) -> str | None:
            paid = PaidOnce(
                task=TASK,
                request=PaidRequest(
                    "apimart_default",
                    Modality.IMAGE,
                    {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"},
                ),
                record=FileRecord(tmp_path.as_uri(), TASK) if in_files else StateStoreRecord(store, try_number),
                key_scope=key_scope(sandbox.base_url, sandbox.api_key),
                submit_policy=RetryPolicy(max_requests=100, first=0.05, longest=0.2),
            )
            transport = RequestsTransport(ClientSettings(sandbox.api_key, sandbox.base_url))
            # The second one begins while the first one's submit is on its way. At the same moment, both may give way.
            time.sleep(0.2 * (try_number - 1))
            with suppress(ApimartSupersededError):
                return transport.run(paid.obtain()).generation_id
            return None

        found = set(pool.map(obtain, [1, 2])) - {None}
        assert len(found) == 1
        assert sandbox.billed == 1
        assert obtain(3) in found
