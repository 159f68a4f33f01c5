from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.batch import journal as journal_module
from airflow_provider_apimart.batch.journal import Journal, read_lines
from airflow_provider_apimart.batch.ledger import LedgerEntry
from airflow_provider_apimart.exceptions import ApimartDestinationError
from tests.object_storage import attach_anew

NAME = "dag.task.run"


def journal_in(folder: Path) -> Journal:
    return Journal(ObjectStoragePath(folder.as_uri()), NAME)


def entry(name: str, revision: int = 0, **facts: Any) -> LedgerEntry:
    return LedgerEntry(name, position=int(name), revision=revision, **facts)


def segments(folder: Path) -> list[Path]:
    return sorted((folder / ".apimart" / NAME).glob("*.jsonl"))


async def test_what_was_flushed_is_found_by_the_next_process(tmp_path: Path) -> None:
    first = journal_in(tmp_path)
    assert first.load() == {}
    for number in range(100):
        first.note(entry(str(number)))
    await first.flush()
    first.note(entry("7", revision=1, reason="changed"))
    await first.flush()
    found = journal_in(tmp_path).load()
    assert len(found) == 100
    assert found["7"].reason == "changed"


async def test_lines_noted_together_share_a_write(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    before = len(segments(tmp_path))

    async def submit(number: int) -> None:
        journal.note(entry(str(number)))
        await journal.flush()

    await asyncio.gather(*map(submit, range(200)))
    assert len(segments(tmp_path)) - before <= 2


async def test_a_line_that_nobody_waits_for_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_LAZY_SECONDS", 0.05)
    journal = journal_in(tmp_path)
    journal.load()
    journal.note(entry("1"))
    await asyncio.wait_for(_until(lambda: "1" in journal_in(tmp_path).load()), 30)
    assert list(journal_in(tmp_path).load()) == ["1"]


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - it is a file that is waited for
        await asyncio.sleep(0.02)


async def test_a_merge_leaves_one_file_that_pandas_can_read(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    for name in ("2", "0", "1"):
        journal.note(entry(name, prompt="ein Füchslein\u2028\u0085\n"))
        await journal.flush()
    journal.merge()
    assert segments(tmp_path) == []
    lines = journal.ledger.read_text(encoding="utf-8").splitlines()
    assert [re.match(r'\{"id": "(.)"', line)[1] for line in lines] == ["0", "1", "2"]  # type: ignore[index]  # it matches
    assert {each.prompt for each in journal_in(tmp_path).load().values()} == {"ein Füchslein\u2028\u0085\n"}


async def test_many_small_files_are_merged_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_GATHER_SECONDS", 0.0)
    journal = journal_in(tmp_path)
    journal.load()
    for number in range(200):
        journal.note(entry(str(number % 10), revision=number))
        await journal.flush()
    assert len(segments(tmp_path)) <= 66
    assert {each.revision for each in journal_in(tmp_path).load().values()} == set(range(190, 200))


class Crash(BaseException):
    """The process dies here."""


class Disk:
    """Counts file operations, and lets the process die at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_at: int, *, before: bool) -> None:
        self.operations = 0
        self.dies_at = dies_at
        self.before = before
        for owner, name in (
            (Path, "open"),
            (Path, "replace"),
            (os, "fsync"),
            (ObjectStoragePath, "unlink"),
            (Path, "mkdir"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            self.operations += 1
            if self.operations >= self.dies_at and self.before:
                raise Crash
            result = original(*args, **kwargs)
            if self.operations >= self.dies_at:
                raise Crash
            return result

        return operation


async def work(folder: Path, promised: dict[str, int]) -> None:
    """Write a ledger with merges, and note which revision of each line was promised to be durable."""
    revisions = itertools.count(max(promised.values(), default=0) + 1)
    journal = journal_in(folder)
    journal.load()
    for _ in range(2):
        for _ in range(3):
            revision = next(revisions)
            noted = {str(number): revision for number in range(3)}
            for name in noted:
                journal.note(entry(name, revision=revision))
            await journal.flush()
            promised.update(noted)
        await asyncio.to_thread(journal.merge)


@pytest.mark.parametrize("before", [True, False])
async def test_a_crash_at_any_file_operation_leaves_what_was_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    monkeypatch.setattr(journal_module, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(journal_module, "_MOST_SEGMENTS", 2)
    crashes = 0
    for dies_at in range(1, 1000):
        folder = tmp_path / str(dies_at)
        promised: dict[str, int] = {}
        await work(folder, promised)
        with monkeypatch.context() as patched:
            Disk(patched, dies_at, before=before)
            try:
                await work(folder, promised)
            except Crash:
                crashes += 1
            else:
                break
        found = {name: each.revision for name, each in journal_in(folder).load().items()}
        assert all(found[name] >= revision for name, revision in promised.items())
        # A third process works on as if nothing had been, and leaves nothing lying about.
        await work(folder, promised)
        assert [file.name for file in folder.rglob("*") if file.is_file()] == [f"{NAME}.ledger.jsonl"]
        assert {name: each.revision for name, each in journal_in(folder).load().items()} == promised
    assert crashes > 30


async def test_two_living_writers_overwrite_nothing_of_each_other(tmp_path: Path) -> None:
    """A process thought dead, and the retry that took its place."""
    zombie, retry = journal_in(tmp_path), journal_in(tmp_path)
    zombie.load()
    retry.load()
    for number in range(0, 20, 2):
        zombie.note(entry(str(number)))
        retry.note(entry(str(number + 1)))
        await asyncio.gather(zombie.flush(), retry.flush())
    assert len(journal_in(tmp_path).load()) == 20
    retry.merge()
    assert len(journal_in(tmp_path).load()) == 20


async def test_a_line_cut_off_at_the_end_of_a_file_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = journal_in(tmp_path)
    journal.load()
    for number in range(3):
        journal.note(entry(str(number)))
    await journal.flush()
    file = segments(tmp_path)[-1]
    file.write_bytes(file.read_bytes()[:-20])
    assert set(journal_in(tmp_path).load()) == {"0", "1"}
    assert "cut off" in caplog.text


@pytest.mark.parametrize("damage", ["garbage\n", '{"id": "1"}\n', "[1]\n", "5\n"])
def test_a_ledger_that_cannot_be_read_stops_before_any_money(tmp_path: Path, damage: str) -> None:
    """Whatever it says of paid items would be lost otherwise."""
    good = '{"id": "0", "position": 0, "status": "running"}\n'
    (tmp_path / f"{NAME}.ledger.jsonl").write_text(damage + good)
    with pytest.raises(ApimartDestinationError, match="Nothing was submitted and nothing charged in this try"):
        journal_in(tmp_path).load()


def test_a_ledger_without_lines_is_empty() -> None:
    assert list(read_lines("")) == []


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
    journal.note(entry("1"))
    full_disk["full"] = True
    with pytest.raises(ApimartDestinationError, match="No space left on device"):
        await journal.flush()
    full_disk["full"] = False
    await journal.flush()
    assert "1" in journal_in(tmp_path).load()


def test_a_folder_that_cannot_be_written_to_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ApimartDestinationError, match="Nothing was submitted"):
        journal_in(tmp_path / "file").load()


@pytest.mark.parametrize("uri", ["nosuchprotocol://bucket/x", "hdfs://bucket/x"])
def test_a_storage_that_is_not_installed_is_told_at_once(uri: str) -> None:
    with pytest.raises(ApimartDestinationError, match="Nothing was submitted"):
        Journal(uri, NAME).load()


def test_an_object_storage_needs_no_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one in an object storage may mean to make a bucket, which few may."""

    def mkdir(*_: object, **__: object) -> None:
        raise PermissionError("buckets are made by others")

    monkeypatch.setattr(ObjectStoragePath, "mkdir", mkdir)
    attach_anew("memory", fsspec.filesystem("memory"))
    journal = Journal("memory://bucket/batches", NAME)
    assert journal.load() == {}
    assert journal.merge() is None
    assert journal.ledger.exists()
