"""Atomic writes of small files."""

from __future__ import annotations

from pathlib import Path

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.results.storage.atomic_write import (
    PARTIAL,
    remove_all_unfinished,
    remove_unfinished,
    write_whole,
)
from airflow_provider_apimart.results.storage.staging import new_locked_file


def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    final = ObjectStoragePath(str(tmp_path / "a [1].jsonl"))
    (tmp_path / f".a [1].jsonl.left{PARTIAL}").write_bytes(b"half")
    (tmp_path / f".another.jsonl.left{PARTIAL}").write_bytes(b"half")
    with new_locked_file(tmp_path, ".a [1].jsonl.", PARTIAL) as writing:
        remove_unfinished(final)
        assert {each.name for each in tmp_path.iterdir()} == {Path(writing.name).name, f".another.jsonl.left{PARTIAL}"}
    write_whole(final, b"whole")
    assert final.read_bytes() == b"whole"


def test_all_that_killed_processes_left_in_a_folder_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    for name in ("facts.txt", f"facts.{PARTIAL}.txt", f".facts.txt.left{PARTIAL}", f".more.txt.left{PARTIAL}"):
        (tmp_path / name).write_bytes(b"half")
    with new_locked_file(tmp_path, ".facts.txt.", PARTIAL) as writing:
        remove_all_unfinished(ObjectStoragePath(str(tmp_path)))
        left = {each.name for each in tmp_path.iterdir()}
    assert left == {"facts.txt", f"facts.{PARTIAL}.txt", Path(writing.name).name}
    remove_all_unfinished(ObjectStoragePath(str(tmp_path / "absent")))
