"""Leftovers of killed processes, and files that aren't any."""

from __future__ import annotations

import fcntl
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.results.storage.leftovers import leftovers_below, leftovers_of_this_machine
from airflow_provider_apimart.results.storage.receipts import Receipt, SavedFile
from airflow_provider_apimart.results.storage.staging import Staging

OLD = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = OLD + timedelta(days=1)


def put(path: Path, content: bytes = b"12345", at: datetime = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def removed_below(folder: Path) -> list[int]:
    found = list(leftovers_below(ObjectStoragePath(folder.as_uri()), BEFORE))
    for leftover in found:
        leftover.remove()
    return [leftover.bytes for leftover in found]


def test_old_unfinished_files_go(tmp_path: Path) -> None:
    staged, half = put(tmp_path / ".apimart/partial/ab.1234", b"123"), put(tmp_path / ".x.ledger.jsonl.00ff.part")
    assert sorted(removed_below(tmp_path)) == [3, 5]
    assert not staged.exists()
    assert not half.exists()


def test_nothing_else_goes(tmp_path: Path) -> None:
    young = BEFORE + timedelta(seconds=1)
    kept = [
        put(tmp_path / "x.png"),
        put(tmp_path / "x.part"),
        put(tmp_path / ".hidden"),
        put(tmp_path / "deep/.y.00ff.part"),
        put(tmp_path / ".apimart/ab.json"),
        put(tmp_path / ".apimart/partial/young.1", at=young),
        put(tmp_path / ".z.00ff.part", at=young),
    ]
    assert removed_below(tmp_path) == []
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_whole_file_that_a_receipt_names_stays(tmp_path: Path, is_readable: bool) -> None:
    staged = put(tmp_path / ".apimart/partial/ab.1234")
    receipt = Receipt("ab", "task_1#0", "x.png", SavedFile("file:///x.png", 5, "ab", "image/png"), staged.name)
    put(tmp_path / ".apimart/ab.json", receipt.to_bytes() if is_readable else b"{")
    assert removed_below(tmp_path) == []
    assert staged.exists()


def test_a_file_that_is_still_written_stays(tmp_path: Path) -> None:
    with Staging(tmp_path / ".apimart/partial").new_file("ab") as file:
        os.utime(file.name, (OLD.timestamp(), OLD.timestamp()))
        assert removed_below(tmp_path) == []
        assert Path(file.name).exists()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let this machine's temporary directory be another one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"apimart-results-{os.getuid()}"


def test_what_was_on_its_way_to_a_store_goes_unless_a_process_writes_it(temporary: Path) -> None:
    left, used = put(temporary / "ab.1"), put(temporary / "cd.2")
    with used.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (leftover,) = leftovers_of_this_machine(BEFORE)
        leftover.remove()
        leftover.remove()
    assert (left.exists(), used.exists()) == (False, True)
