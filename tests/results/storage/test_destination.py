"""Saving into a local directory, and into a store that shows files while they are written."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.results.download.address_policy import AddressPolicy
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.saver import ResultSaver
from airflow_provider_apimart.results.storage.file_names import FileNames
from airflow_provider_apimart.results.storage.open_destination import destination_at
from airflow_provider_apimart.results.storage.paths import storage_path, uri_of
from airflow_provider_apimart.results.storage.receipts import (
    FOREIGN,
    Receipt,
    SavedFile,
    key_of,
    receipt_from_bytes,
    saved_file_from_json,
)
from airflow_provider_apimart.results.storage.staging import Staging
from tests.object_storage import attach_anew
from tests.results.hostile import head, hostile, picture, sha256, whole
from tests.results.support import files_below, save, saver_to

PICTURE = picture(5000)
FILE = SavedFile("file:///x.png", 5, "abc", "image/png")


def test_a_saved_file_survives_json() -> None:
    assert saved_file_from_json(FILE.to_json()) == FILE
    for bad in ({}, FILE.to_json() | {"bytes": "5"}, FILE.to_json() | {"uri": None}):
        with pytest.raises(ValueError, match="no saved file"):
            saved_file_from_json(bad)


def test_a_receipt_survives_and_an_unreadable_one_claims_its_name_for_somebody_else() -> None:
    receipt = Receipt("key", "task_1#0", "x.png", FILE, "key.staged", replaces=True)
    assert receipt_from_bytes("key", receipt.to_bytes()) == receipt
    for bad in (b"", b"{", b"[]", b"null", b"{}", receipt.to_bytes()[:-5], b'{"file": 5}', b"\xff"):
        assert receipt_from_bytes("key", bad).owner == FOREIGN


def test_a_file_appears_with_its_receipt_and_without_leftovers(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        save(saver, server.url, "deep/x", owner="task_1#0")
    assert files_below(tmp_path, receipts=True) == [f".apimart/{key_of('deep/x')}.json", "deep/x.png"]


@pytest.mark.parametrize("root", ["memory://bucket", "memory://bucket/a b/", "memory://bucket/x", "file://{}/", "{}"])
@given(value=st.text())
def test_a_name_is_joined_to_its_root_as_paths_of_object_storages_are(
    tmp_path_factory: pytest.TempPathFactory, root: str, value: str
) -> None:
    attach_anew("memory", MemoryFileSystem())
    place = root.format(tmp_path_factory.getbasetemp())
    name = FileNames("{id}/{generation_id}").stem({"id": value, "generation_id": value}) + ".png"
    assert destination_at(place).uri(name) == uri_of(storage_path(place) / name)


def test_what_lies_there_by_its_receipt_is_not_fetched_again(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        first = save(saver, server.url, "x", owner="task_1#0")
        assert save(saver, "http://nowhere.test/", "x", owner="task_1#0") == first
        assert len(server.asked) == 1
        save(saver, server.url, "x", owner="task_2#0")
        assert len(server.asked) == 2


@pytest.mark.parametrize("damage", ["shorter", "gone", "receipt cut", "receipt gone"])
def test_what_does_not_lie_there_whole_is_fetched_again(tmp_path: Path, damage: str) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        save(saver, server.url, "x", owner="o")
        final, receipt = tmp_path / "x.png", tmp_path / ".apimart" / f"{key_of('x')}.json"
        match damage:
            case "shorter":
                final.write_bytes(PICTURE[:-1])
            case "gone":
                final.unlink()
            case "receipt cut":
                receipt.write_text(receipt.read_text()[:-9])
            case "receipt gone":
                receipt.unlink()
        save(saver, server.url, "x", owner="o")
        assert len(server.asked) == 2
    assert final.read_bytes() == PICTURE


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        first = save(saver, server.url, "x", owner="o")
        assert save(saver, server.url, "x", owner="o") == first
        assert len(server.asked) == 1
    assert (tmp_path / "x.png").read_bytes() == b"old"
    assert Path(first.uri).read_bytes() == PICTURE


def test_a_file_of_the_same_content_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(PICTURE)
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        assert Path(save(saver, server.url, "x").uri).name == "x.png"
    assert len(list(tmp_path.glob("*.png"))) == 1


@pytest.mark.parametrize("other", ["x", "X"])
def test_two_outputs_of_one_name_are_two_files(tmp_path: Path, other: str) -> None:
    contents = {"/1": picture(5000, 1), "/2": picture(5000, 2)}
    with (
        hostile(lambda asked: [head(content_length=5000), contents[asked.path]]) as server,
        saver_to(tmp_path, server.url) as saver,
    ):
        one = save(saver, f"{server.url}/1", "x", owner="1")
        two = save(saver, f"{server.url}/2", other, owner="2")
        assert save(saver, f"{server.url}/1", "x", owner="1") == one
        assert save(saver, f"{server.url}/2", other, owner="2") == two
        assert len(server.asked) == 2
    assert one.uri.lower() != two.uri.lower()
    assert [Path(each.uri).read_bytes() for each in (one, two)] == list(contents.values())


def _commit_at_once(folder: Path, owners: list[str]) -> None:
    destination = destination_at(str(folder))
    for number in range(30):
        for owner in owners:
            content = f"{owner} {number}".encode()
            file = SavedFile("", len(content), sha256(content), "image/png")
            with destination.staging.new_file("key") as staged:
                staged.write(content)
                destination.commit(staged, f"x{number}", ".png", file, owner)
    os._exit(0)


def test_processes_that_write_the_same_names_at_once_replace_nothing(tmp_path: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            _commit_at_once(tmp_path, [f"owner-{number}"])
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    contents = {path.read_text() for path in tmp_path.glob("*.png")}
    assert contents == {f"owner-{owner} {number}" for owner in range(4) for number in range(30)}


def test_without_links_files_are_moved_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    (tmp_path / "y.png").write_bytes(b"old")
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        assert Path(save(saver, server.url, "x").uri).read_bytes() == PICTURE
        assert Path(save(saver, server.url, "y").uri).read_bytes() == PICTURE
    assert (tmp_path / "y.png").read_bytes() == b"old"


# A file system of the usual kind, in which any two outputs meet.
_STEMS = st.text(alphabet="aAbé/_", min_size=1, max_size=4).filter(lambda stem: all(stem.split("/")))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_STEMS, st.integers(0, 9)), min_size=2, max_size=12))
def test_distinct_outputs_never_share_a_file(wanted: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        destination = destination_at(folder)
        for stem, number in wanted:
            content = str(number).encode()
            file = SavedFile("", len(content), sha256(content), "image/png")
            with destination.staging.new_file("key") as staged:
                staged.write(content)
                with suppress(FileExistsError, NotADirectoryError):
                    # A name may be a folder of another one.
                    destination.commit(staged, stem, ".png", file, f"owner-{number}")
        for stem, number in wanted:
            found = destination.find(stem, f"owner-{number}")
            assert found is None or Path(found.uri).read_bytes() == str(number).encode()
        assert any(destination.find(stem, f"owner-{number}") for stem, number in wanted)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _land_and_die(folder: Path, moment: str) -> None:
    destination = destination_at(str(folder))
    file = SavedFile(destination.uri("x.png"), 5, "abc", "image/png")
    with destination.staging.new_file(key_of("x")) as staged:
        staged.write(b"12345")
        staged.flush()
        if moment == "before the receipt":
            _die()
        if moment == "before the move":
            vars(destination)["_move_new"] = lambda *_: _die()
        destination.commit(staged, "x", ".png", file, "owner")
        _die()


@pytest.mark.parametrize("moment", ["before the receipt", "before the move", "after it"])
def test_what_a_killed_process_had_whole_is_finished_by_the_next(tmp_path: Path, moment: str) -> None:
    child = os.fork()
    if child == 0:
        _land_and_die(tmp_path, moment)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    destination = destination_at(str(tmp_path))
    destination.recover()
    was_whole = moment != "before the receipt"
    assert files_below(tmp_path, receipts=True) == ([f".apimart/{key_of('x')}.json", "x.png"] if was_whole else [])
    assert destination.size("x.png") == (5 if was_whole else None)


def test_what_another_process_is_still_writing_is_left_alone(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    with staging.new_file("x") as file:
        assert list(Staging(tmp_path).left_behind()) == []
        assert Path(file.name).exists()
    assert files_below(tmp_path) == []


def test_savers_that_begin_disturb_none_that_save(tmp_path: Path) -> None:
    over = Event()

    def begin_again_and_again() -> int:
        destination, times = destination_at(str(tmp_path)), 0
        while not over.is_set():
            destination.recover()
            times += 1
        return times

    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver, ThreadPoolExecutor() as pool:
        beginning = [pool.submit(begin_again_and_again) for _ in range(2)]
        try:
            for number in range(40):
                save(saver, server.url, f"x{number}", owner=str(number))
        finally:
            over.set()
        assert all(each.result() for each in beginning)
    assert len(list(tmp_path.glob("*.png"))) == 40


def test_a_destination_that_is_no_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ApimartDestinationError, match="costs nothing"):
        ResultSaver(str(tmp_path / "file"))


def test_a_name_that_is_taken_by_a_directory_leads_to_another(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        assert Path(save(saver, server.url, "x").uri).read_bytes() == PICTURE
    assert (tmp_path / "x.png").is_dir()


class Watched(MemoryFileSystem):
    """A store without atomic writes, of which every file that was ever seen is remembered with its size."""

    protocol = "watched"
    cachable = False
    seen: list[tuple[str, int]]

    def put_file(self, lpath: str, rpath: str, **options: object) -> None:
        content = Path(lpath).read_bytes()
        for end in (len(content) // 2, len(content)):
            self.pipe_file(rpath, content[:end])
            self.seen += [(name, self.info(name)["size"]) for name in self.find("/")]


@pytest.fixture
def store() -> Watched:
    """Provide such a store as Airflow would."""
    watched = Watched()
    watched.store, watched.pseudo_dirs, watched.seen = {}, [""], []
    attach_anew("memory", watched)
    return watched


def test_where_half_files_can_be_seen_they_never_have_a_final_name(store: Watched) -> None:
    with hostile(whole(PICTURE)) as server:
        network = Network(address_policy=AddressPolicy(server.url))
        with ResultSaver("memory://bucket/pictures", network=network) as saver:
            saved = save(saver, server.url, "a/x", owner="o")
            assert save(saver, server.url, "a/x", owner="o") == saved
            assert len(server.asked) == 1
            assert save(saver, server.url, "a/x", owner="p").uri != saved.uri
    assert saved.uri.endswith("bucket/pictures/a/x.png")
    assert sha256(store.cat_file("/bucket/pictures/a/x.png")) == saved.sha256
    assert {size for name, size in store.seen if name.endswith("x.png")} == {5000}
    assert not [name for name in store.find("/") if "partial" in name]


class Unconditional(MemoryFileSystem):
    """A store that can't create an object only if there is none."""

    cachable = False

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs, self._error = [""], error

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        self._refuse(mode)
        super().pipe_file(path, value)

    def put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **options: object) -> None:
        self._refuse(mode)
        super().put_file(lpath, rpath)

    def _refuse(self, mode: str) -> None:
        if mode == "create":
            raise self._error


@pytest.mark.parametrize(
    "error",
    [TypeError("unexpected keyword argument 'mode'"), OSError(errno.EINVAL, "header"), OSError(errno.ENOSYS, "header")],
)
def test_a_store_without_conditional_writes_holds_each_output(error: Exception) -> None:
    store = Unconditional(error)
    attach_anew("gs", store)
    with hostile(whole(PICTURE)) as server:
        network = Network(address_policy=AddressPolicy(server.url))
        with ResultSaver("gs://bucket/pictures", network=network) as saver:
            uris = {save(saver, server.url, "x", owner=owner).uri for owner in ("o", "p", "o")}
    assert len(uris) == 2
    assert all(store.cat_file(uri.removeprefix("gs://")) == PICTURE for uri in uris)
    destination = destination_at("gs://bucket/pictures")
    assert destination.shares_store("gs://bucket/kept.png")
    assert destination.claim("y.png", "o")
    assert not destination.shares_store("gs://bucket/kept.png"), "its copies can't be claimed before they are made"


def test_a_full_disk_is_noticed_before_anything_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    attach_anew("gs", MemoryFileSystem())
    monkeypatch.setattr(Staging, "new_file", full)
    with pytest.raises(errors.ApimartDestinationError, match="No space left"):
        ResultSaver("gs://bucket/pictures")
