from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.batch import journal as journal_module
from airflow_provider_apimart.batch.journal import Journal
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.exceptions import (
    ApimartDestinationError,
    ApimartRecordError,
    ApimartSupersededError,
)
from tests.object_storage import attach_anew

NAME = "dag.task.run"
moments = itertools.count(1)


def journal_in(folder: Path) -> Journal:
    return Journal(ObjectStoragePath(folder.as_uri()), NAME)


def fact(name: str) -> Fact:
    details = {"fingerprint": "f", "status": "refused", "reason": "r", "clear_marker": 3, "tried_at": 0.0}
    return Fact(FactKind.TROUBLE, name, float(next(moments)), details)


def files(folder: Path) -> list[Path]:
    return sorted((folder / ".apimart" / NAME).glob("*.facts"))


async def test_what_was_flushed_is_found_by_the_next_process(tmp_path: Path) -> None:
    first = journal_in(tmp_path)
    assert first.load() == {}
    for number in range(100):
        first.note(fact(str(number)))
    await first.flush()
    assert len(journal_in(tmp_path).load()) == 100


async def test_facts_noted_together_share_a_write(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    before = len(files(tmp_path))

    async def submit(number: int) -> None:
        journal.note(fact(str(number)))
        await journal.before_post()

    await asyncio.gather(*map(submit, range(200)))
    assert len(files(tmp_path)) - before <= 2


async def test_a_fact_that_nobody_waits_for_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_LAZY_SECONDS", 0.05)
    journal = journal_in(tmp_path)
    journal.load()
    journal.note(fact("1"))
    async with asyncio.timeout(30):
        await _until(lambda: len(files(tmp_path)) > 1)
    assert list(journal_in(tmp_path).load()) == ["1"]


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - it is a file that is waited for
        await asyncio.sleep(0.02)


async def test_a_compaction_leaves_one_file(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    for name in ("2", "0", "1"):
        journal.note(fact(name))
        await journal.flush()
    journal.compact()
    assert len(files(tmp_path)) == 1
    assert journal_in(tmp_path).load().keys() == {"0", "1", "2"}


async def test_many_small_files_are_compacted_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_GATHER_SECONDS", 0.0)
    journal = journal_in(tmp_path)
    journal.load()
    for number in range(200):
        journal.note(fact(str(number)))
        await journal.flush()
    # One file for each of the first ones, and for so many facts one more.
    assert len(files(tmp_path)) <= 64 + 200 // 50 + 2
    assert len(journal_in(tmp_path).load()) == 200


async def test_a_newer_try_stops_the_submits_of_the_older_one_and_nothing_is_lost(tmp_path: Path) -> None:
    older, newer = journal_in(tmp_path), journal_in(tmp_path)
    older.load()
    older.note(fact("a"))
    await older.before_post()
    newer.load()
    older.note(fact("b"))
    with pytest.raises(ApimartSupersededError):
        await older.before_post()
    newer.note(fact("c"))
    await newer.before_post()
    older.compact()
    newer.compact()
    assert journal_in(tmp_path).load().keys() == {"a", "b", "c"}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Provide a disk that is full when it is told so."""
    state = {"full": False}
    original = os.fsync

    def fsync(descriptor: int) -> None:
        if state["full"]:
            raise OSError(28, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return state


async def test_a_flush_that_fails_says_so_and_the_next_one_tries_again(
    tmp_path: Path, full_disk: dict[str, bool]
) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    journal.note(fact("1"))
    full_disk["full"] = True
    with pytest.raises(ApimartDestinationError, match="No space left on device"):
        await journal.flush()
    full_disk["full"] = False
    await journal.flush()
    assert "1" in journal_in(tmp_path).load()


def test_a_folder_that_cannot_be_written_to_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ApimartDestinationError, match=r"Nothing more is submitted|Nothing was submitted"):
        journal_in(tmp_path / "file").load()


@pytest.mark.parametrize("uri", ["nosuchprotocol://bucket/x", "hdfs://bucket/x"])
def test_a_storage_that_is_not_installed_is_named_at_once(uri: str) -> None:
    with pytest.raises(ApimartDestinationError, match="Nothing was sent"):
        Journal(uri, NAME).load()


def test_an_object_storage_needs_no_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one in an object storage may mean to make a bucket, which few may."""

    def mkdir(*_: object, **__: object) -> None:
        raise PermissionError("buckets are made by others")

    monkeypatch.setattr(ObjectStoragePath, "mkdir", mkdir)
    attach_anew("memory", fsspec.filesystem("memory"))
    journal = Journal("memory://bucket/batches", NAME)
    assert journal.load() == {}
    journal.compact()


SUBMISSION = {
    "state": "submitted",
    "fingerprint": "f",
    "clear_marker": 3,
    "attempt": 1,
    "idempotency_key": "airflow-old",
    "key_scope": "scope",
    "recorded_at": 1_000_000.0,
    "generation": {"generation_id": "task_1"},
    "uploads": {},
}
OLD_LINE = {
    "id": "0",
    "position": 0,
    "status": "completed",
    "generation_id": "task_1",
    "modality": "image",
    "model": "m",
    "prompt": "a cat",
    "reason": None,
    "outputs": [{"url": "https://x/1.png", "kind": "image", "expires_at": None}],
    "files": [{"uri": "file:///1.png", "bytes": 1, "sha256": "0", "media_type": "image/png"}],
    "cost": 0.02,
    "submitted": "2026-11-01T00:00:00.000+00:00",
    "completed": "2026-11-01T00:00:07+00:00",
    "saved": "2026-11-01T00:00:08+00:00",
    "clear_marker": 3,
    "tried_at": None,
    "earlier": [],
    "submission": SUBMISSION,
    "revision": 4,
}


def old_ledger(folder: Path, *lines: dict[str, Any]) -> Path:
    ledger = folder / f"{NAME}.ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ledger


def only_attempt(found: Any) -> Attempt:
    (attempt,) = found["0"].attempts.values()
    assert isinstance(attempt, Attempt)
    return attempt


def test_a_ledger_of_version_1_is_read_and_kept_as_facts(tmp_path: Path) -> None:
    ledger = old_ledger(tmp_path, OLD_LINE)
    segment = tmp_path / ".apimart" / NAME / "000001-abcdef.jsonl"
    segment.parent.mkdir(parents=True)
    newer = {**OLD_LINE, "id": "1", "submission": {**SUBMISSION, "idempotency_key": "airflow-other"}}
    segment.write_text(json.dumps(newer) + "\n")
    journal = journal_in(tmp_path)
    found = journal.load()
    assert found.keys() == {"0", "1"}
    attempt = only_attempt(found)
    assert (attempt.generation_id, attempt.is_completed, len(attempt.files)) == ("task_1", True, 1)
    journal.compact()
    ledger.unlink()
    assert not segment.exists()
    assert only_attempt(journal_in(tmp_path).load()) == attempt


@pytest.mark.parametrize("name", ["revision", "submission", "outputs", "files", "status", "position"])
def test_a_field_of_another_type_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    old_ledger(tmp_path, {**OLD_LINE, name: "x" if name != "status" else 5})
    with pytest.raises(ApimartRecordError, match=name):
        journal_in(tmp_path).load()


def test_a_cut_last_line_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    """Unreadable is never absent: what the line said of paid items would be forgotten."""
    ledger = old_ledger(tmp_path, {**OLD_LINE, "id": "1"}, OLD_LINE)
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-20])
    with pytest.raises(ApimartRecordError, match="line 2 of"):
        journal_in(tmp_path).load()
    ledger.write_bytes(b"\xef\xbb\xbf" + whole)
    assert journal_in(tmp_path).load().keys() == {"0", "1"}


@pytest.mark.parametrize("damage", ["garbage\n", '{"id": "1"}\n', "[1]\n", "5\n"])
def test_a_ledger_of_version_1_that_cannot_be_read_stops_before_any_money(tmp_path: Path, damage: str) -> None:
    (tmp_path / f"{NAME}.ledger.jsonl").write_text(damage + json.dumps(OLD_LINE) + "\n")
    with pytest.raises(ApimartRecordError, match="Nothing was submitted"):
        journal_in(tmp_path).load()
