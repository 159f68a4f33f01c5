"""Files of facts with concurrent writers, kills, limited storages and damage."""

from __future__ import annotations

import itertools
import os
import re
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.durable.checksummed_json import with_checksum
from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.fence import FENCE
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.exceptions import ApimartError, ApimartRecordError, ApimartSupersededError
from tests.durable.stores import InPlaceFileSystem, Killed, StaleFileSystem, WholeFileSystem
from tests.object_storage import attach_anew

pytestmark = pytest.mark.slow

numbers = itertools.count(1)


def fact(name: str) -> Fact:
    return Fact(FactKind.STOPPED, name, float(next(numbers)), {"key": "k", "clear_marker": 3})


def names(found: list[Fact]) -> set[str]:
    return {each.item for each in found}


@pytest.fixture(params=["local", "memory", "in place", "stale listings"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStoragePath]:
    """Provide a directory on each kind of storage."""
    match request.param:
        case "local":
            yield ObjectStoragePath(tmp_path.as_uri())
        case "memory":
            attach_anew("memory", WholeFileSystem())
            yield ObjectStoragePath(f"memory://bucket/{uuid.uuid4().hex}")
        case "in place":
            attach_anew("sftp", InPlaceFileSystem())
            yield ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
        case "stale listings":
            StaleFileSystem.shown, StaleFileSystem.lag = [], 3
            attach_anew("gs", StaleFileSystem())
            yield ObjectStoragePath(f"gs://bucket/{uuid.uuid4().hex}")


def writer(place: ObjectStoragePath) -> FactFiles:
    """Begin as a try does: with a file and the fence."""
    files = FactFiles(place)
    files.load()
    files.append([])
    files.claim()
    return files


def test_what_was_written_is_found_by_the_next_process(place: ObjectStoragePath) -> None:
    first = writer(place)
    first.append([fact("a"), fact("b")])
    first.append([fact("c")])
    assert names(FactFiles(place).load()) == {"a", "b", "c"}
    second = writer(place)
    second.append([fact("d")])
    assert names(FactFiles(place).load()) == {"a", "b", "c", "d"}


def test_an_empty_directory_holds_no_facts(place: ObjectStoragePath) -> None:
    assert FactFiles(place).load() == []


def test_a_compaction_leaves_one_file_with_all_facts(place: ObjectStoragePath) -> None:
    first = writer(place)
    for name in "abc":
        first.append([fact(name)])
    second = writer(place)
    second.append([fact("d")])
    second.compact()
    assert names(FactFiles(place).load()) == {"a", "b", "c", "d"}
    left = [name for name in Folder(place).names() if name.endswith(".facts")]
    assert place.protocol == "gs" or len(left) == 1


def test_the_newest_writer_alone_may_submit(place: ObjectStoragePath) -> None:
    first = writer(place)
    first.check_fence()
    second = writer(place)
    second.check_fence()
    with pytest.raises(ApimartSupersededError, match="A newer try of this task has begun"):
        first.check_fence()
    # What it learns is kept all the same.
    first.append([fact("late")])
    second.compact()
    assert "late" in names(FactFiles(place).load())


def test_a_stopped_writer_that_compacts_late_forgets_nothing(place: ObjectStoragePath) -> None:
    """Try A is stopped, retry B succeeds and compacts, A goes on and compacts too."""
    old = writer(place)
    old.append([fact("a")])
    new = writer(place)
    new.append([fact("b")])
    new.compact()
    old.append([fact("c")])
    old.compact()
    assert names(FactFiles(place).load()) == {"a", "b", "c"}


def test_a_compaction_that_a_rival_replaces_before_it_was_read_back(
    place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = writer(place), writer(place)
    first.append([fact("a")])
    second.append([fact("b")])
    write = first.folder.write

    def write_and_let_the_rival_compact(name: str, content: bytes) -> None:
        write(name, content)
        second.compact()

    monkeypatch.setattr(first.folder, "write", write_and_let_the_rival_compact)
    first.compact()
    monkeypatch.undo()
    assert names(FactFiles(place).load()) == {"a", "b"}
    first.append([fact("c")])
    first.compact()
    assert names(FactFiles(place).load()) == {"a", "b", "c"}


def test_rivals_that_append_and_compact_at_once_forget_nothing(place: ObjectStoragePath) -> None:
    written: set[str] = set()
    lock = threading.Lock()

    def live(name: str) -> None:
        files = FactFiles(place)
        files.load()
        files.append([])
        with suppress(ApimartSupersededError):
            files.claim()
        for number in range(8):
            files.append([fact(f"{name}{number}")])
            with lock:
                written.add(f"{name}{number}")
            if number % 3 == 2:
                files.compact()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(live, "abc"))
    assert names(FactFiles(place).load()) == written


def test_a_file_that_is_missing_is_noticed(tmp_path: Path) -> None:
    files = writer(ObjectStoragePath(tmp_path.as_uri()))
    for name in "abc":
        files.append([fact(name)])
    (tmp_path / f"{files.writer}-000002.facts").unlink()
    with pytest.raises(ApimartRecordError, match=r"000002\.facts is missing"):
        FactFiles(ObjectStoragePath(tmp_path.as_uri())).load()


def test_all_files_of_a_known_writer_missing_is_noticed(tmp_path: Path) -> None:
    files = writer(ObjectStoragePath(tmp_path.as_uri()))
    for path in tmp_path.glob(f"{files.writer}-*"):
        path.unlink()
    with pytest.raises(ApimartRecordError, match=r"000001\.facts is missing"):
        FactFiles(ObjectStoragePath(tmp_path.as_uri())).load()


def test_a_file_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = ObjectStoragePath(tmp_path.as_uri())
    files = writer(path)
    head = {"apimart_facts": 3, "writer": files.writer, "number": 2, "lines": 0, "subsumes": {}}
    (tmp_path / f"{files.writer}-000002.facts").write_text(with_checksum(head) + "\n")
    with pytest.raises(ApimartRecordError, match="has version 3, and this version of the provider reads 2"):
        FactFiles(path).load()


def damaged(content: bytes, at: int) -> Iterator[bytes]:
    """Go through the ways in which a byte can be damaged."""
    yield content[:at]
    yield content[:at] + content[at + 1 :]
    yield content[:at] + content[at : at + 1] * 2 + content[at + 1 :]
    yield content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :]
    yield content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :]


def test_damage_of_any_byte_is_refused_by_name_or_harmless(tmp_path: Path) -> None:
    """On storage that shows whole files only, nothing damaged is believed and nothing is forgotten."""
    path = ObjectStoragePath(tmp_path.as_uri())
    first = writer(path)
    first.append([fact("a"), fact("ü\u2028")])
    first.append([fact("c")])
    second = writer(path)
    second.append([fact("d")])
    known = names(FactFiles(path).load())
    outcomes = Counter(
        _loaded_with(path, file, content, known)
        for file in sorted(tmp_path.iterdir())
        for content in _all_damages(file.read_bytes())
    )
    assert outcomes["refused"] > 100
    assert outcomes.keys() <= {"refused", "harmless"}


def _all_damages(whole: bytes) -> list[bytes]:
    # Every seventh byte is enough for the short run, with all ends of lines.
    step = 1 if os.environ.get("APIMART_SWEEP") else 7
    places = {*range(0, len(whole), step), *(at for at, byte in enumerate(whole) if byte == 10)}
    return [content for at in sorted(places) for content in damaged(whole, at)]


def _loaded_with(path: ObjectStoragePath, file: Path, content: bytes, known: set[str]) -> str:
    whole = file.read_bytes()
    file.write_bytes(content)
    try:
        return "harmless" if names(FactFiles(path).load()) == known else "wrong"
    except ApimartRecordError as error:
        return "refused" if file.name in str(error) else "nameless"
    finally:
        file.write_bytes(whole)


def test_damage_of_the_last_file_that_was_written_in_place_is_refused() -> None:
    """Only its beginning may be what a killed writer has left."""
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    files = writer(place)
    files.append([fact("a"), fact("b")])
    folder, name = Folder(place), f"{files.writer}-000001.facts"
    whole = folder.read(name)
    head_ends = whole.index(b"\n") + 1
    for content in _all_damages(whole):
        if whole.startswith(content) or b"\n" not in content[:head_ends]:
            continue
        folder.write(name, content)
        with pytest.raises(ApimartRecordError, match=re.escape(name)):
            FactFiles(place).load()


def test_a_newer_version_is_refused_where_files_are_written_in_place() -> None:
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    head = {"apimart_facts": 3, "writer": "ab", "number": 1, "lines": 0, "subsumes": {}}
    Folder(place).write("ab-000001.facts", f"{with_checksum(head)}\n".encode())
    with pytest.raises(ApimartRecordError, match="has version 3"):
        FactFiles(place).load()


def test_a_byte_order_mark_is_harmless(tmp_path: Path) -> None:
    path = ObjectStoragePath(tmp_path.as_uri())
    files = writer(path)
    files.append([fact("a")])
    file = tmp_path / f"{files.writer}-000002.facts"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert names(FactFiles(path).load()) == {"a"}


def kill_at(place: ObjectStoragePath, size: int, files: FactFiles, act: Any) -> None:
    InPlaceFileSystem.dies_after = size
    with pytest.raises(Killed):
        act()


@pytest.mark.parametrize("size", [0, 1, 40, 100, 150, 200, 260])
def test_a_writer_killed_in_the_midst_of_a_file_that_is_written_in_place(size: int) -> None:
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    files = writer(place)
    files.append([fact("a")])
    kill_at(place, size, files, lambda: files.append([fact("b"), fact("c")]))
    # The fact was never acknowledged, and nothing was sent after it.
    assert names(FactFiles(place).load()) == {"a"}
    later = writer(place)
    later.append([fact("d")])
    later.compact()
    assert names(FactFiles(place).load()) == {"a", "d"}


@pytest.mark.parametrize("size", [0, 1, 100, 200, 300])
def test_a_compaction_killed_in_the_midst_forgets_nothing(size: int) -> None:
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    files = writer(place)
    for name in "abc":
        files.append([fact(name)])
    kill_at(place, size, files, files.compact)
    assert names(FactFiles(place).load()) == {"a", "b", "c"}
    later = writer(place)
    later.compact()
    assert names(FactFiles(place).load()) == {"a", "b", "c"}


@pytest.mark.parametrize("size", [0, 1, 20, 60])
def test_a_writer_killed_in_the_midst_of_the_fence_stops_the_live_one_and_not_the_next(size: int) -> None:
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    live = writer(place)
    live.append([fact("a")])
    killed = FactFiles(place)
    killed.load()
    killed.append([])
    kill_at(place, size, killed, killed.claim)
    with pytest.raises(ApimartSupersededError):
        live.check_fence()
    later = writer(place)
    later.append([fact("b")])
    later.check_fence()
    assert names(FactFiles(place).load()) == {"a", "b"}


def test_what_others_write_between_reading_and_claiming_is_noticed(place: ObjectStoragePath) -> None:
    slow = FactFiles(place)
    slow.load()
    slow.append([])
    assert not slow.others_wrote()
    writer(place).append([fact("a")])
    slow.claim()
    StaleFileSystem.shown = []
    StaleFileSystem.lag = 0
    assert slow.others_wrote()
    assert names(slow.load()) == {"a"}
    assert not slow.others_wrote()


def test_an_unfinished_file_before_another_one_is_damage() -> None:
    attach_anew("sftp", InPlaceFileSystem())
    place = ObjectStoragePath(f"sftp://bucket/{uuid.uuid4().hex}")
    files = writer(place)
    files.append([fact("a")])
    files.append([fact("b")])
    folder = Folder(place)
    name = f"{files.writer}-000002.facts"
    folder.write(name, folder.read(name)[:-5])
    with pytest.raises(ApimartRecordError, match=r"000002\.facts"):
        FactFiles(place).load()


def test_a_fence_that_cannot_be_read_stops(tmp_path: Path) -> None:
    path = ObjectStoragePath(tmp_path.as_uri())
    files = writer(path)
    (tmp_path / FENCE).write_text("{}")
    with pytest.raises(ApimartRecordError, match=r"fence\.json is damaged"):
        files.check_fence()


class _DyingOperations:
    """Counts file operations of a folder, and lets the process die at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_at: int, *, before: bool) -> None:
        self.count = 0
        self.dies_at = dies_at
        self.before = before
        for name in ("write", "remove"):
            monkeypatch.setattr(Folder, name, self._counted(getattr(Folder, name)))

    def _counted(self, original: Any) -> Any:
        def operation(*args: Any) -> Any:
            self.count += 1
            if self.count == self.dies_at and self.before:
                raise Killed
            result = original(*args)
            if self.count == self.dies_at:
                raise Killed
            return result

        return operation


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_operation_leaves_what_was_acknowledged(
    place: ObjectStoragePath, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    acknowledged: set[str] = set()
    kills = 0
    for dies_at in range(1, 40):
        with monkeypatch.context() as patched:
            _DyingOperations(patched, dies_at, before=before)
            try:
                files = writer(place)
                for number in range(3):
                    name = f"{dies_at}-{number}"
                    files.append([fact(name)])
                    acknowledged.add(name)
                files.compact()
            except (Killed, ApimartSupersededError):
                kills += 1
            else:
                break
        assert names(FactFiles(place).load()) >= acknowledged
    assert kills >= 5
    writer(place).compact()
    assert names(FactFiles(place).load()) >= acknowledged


def test_storage_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ApimartError, match="could not be written"):
        FactFiles(ObjectStoragePath((tmp_path / "file" / "deeper").as_uri())).append([fact("a")])
