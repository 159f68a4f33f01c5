"""Records in files: where they are found by clocks that differ, and what is removed beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.file_record import FileRecord, remove_old_records
from airflow_provider_apimart.durable.idempotency_key import key_is_kept
from airflow_provider_apimart.durable.task_identity import TaskIdentity

TASK = TaskIdentity("dag", "run", "task", -1, 0)
MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)


def record(place: Path, at: datetime) -> FileRecord:
    return FileRecord(str(place), TASK, clock=at.timestamp)


def submitted(place: Path, at: datetime) -> None:
    record(place, at).note(
        FactKind.SENDING, key="k", send="s", fingerprint="f", attempt=1, clear_marker=0, key_scope="", uploads={},
        modality="image", request={}, quote=None,
    )  # fmt: skip


@pytest.mark.parametrize("read_at", [-86_000, -60, -1, 0, 1, 86_400 * 30])
@pytest.mark.parametrize("noted_at", [-1, 0, 1, 300])
def test_a_record_is_found_by_a_clock_that_is_still_in_the_month_before(
    tmp_path: Path, noted_at: int, read_at: int
) -> None:
    submitted(tmp_path, MIDNIGHT + timedelta(seconds=noted_at))
    assert record(tmp_path, MIDNIGHT + timedelta(seconds=read_at)).read().attempts


@given(st.floats(0, 2e9), st.floats(-1e7, 1e7))
def test_a_key_is_kept_for_a_day_and_not_if_it_was_sent_in_the_future(sent_at: float, age: float) -> None:
    assert key_is_kept(sent_at, sent_at + age) == (-300 < sent_at + age - sent_at < 86_400 - 300)


def test_only_months_of_records_are_removed_and_only_what_is_of_a_record(tmp_path: Path) -> None:
    submitted(tmp_path, MIDNIGHT - timedelta(days=400))
    months = tmp_path / "records"
    (month,) = months.iterdir()
    (of_task,) = month.iterdir()
    (of_task / ".fence.json.00ff.part").write_bytes(b"x")
    mine = [months / "2019" / "a" / "invoice.pdf", months / "1998-01-vinyl" / "a" / "x.flac", of_task / "notes.txt"]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    assert remove_old_records(ObjectStoragePath(months.as_uri()), "2026-10") == 2
    assert {file for file in months.rglob("*") if file.is_file()} == set(mine)
