"""How files come to lie in a local directory, and in a store that shows files while they are written."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.results.download.address_policy import AddressPolicy
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.saver import ResultSaver
from airflow_provider_apimart.results.storage.destination import destination_at
from airflow_provider_apimart.results.storage.receipts import Receipt, key_of, receipt_from_text
from airflow_provider_apimart.results.storage.saved_file import SavedFile, saved_file_from_json
from airflow_provider_apimart.results.storage.staging import Staging
from tests.object_storage import attach_anew
from tests.results.hostile import Asked, head, hostile, picture, sha256, whole
from tests.results.support import files_below, output, saver_to

PICTURE = picture(5000)
FILE = SavedFile("file:///x.png", 5, "abc", "image/png")


def test_a_saved_file_survives_json() -> None:
    assert saved_file_from_json(FILE.to_json()) == FILE
    for bad in ({}, FILE.to_json() | {"bytes": "5"}, FILE.to_json() | {"uri": None}):
        with pytest.raises(ValueError, match="no saved file"):
            saved_file_from_json(bad)


def test_a_receipt_survives_text_and_anything_else_is_none() -> None:
    receipt = Receipt("key", "task_1#0", "x.png", FILE, "key.staged")
    assert receipt_from_text(receipt.to_text()) == receipt
    for bad in ("", "{", "[]", "null", "{}", receipt.to_text()[:-5], '{"file": 5}', b"\xff"):
        assert receipt_from_text(bad) is None


def test_a_file_appears_with_its_receipt_and_without_leftovers(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        saver.save(output(server.url), "deep/x", owner="task_1#0")
    assert files_below(tmp_path) == [f".apimart/{key_of('deep/x')}.json", "deep/x.png"]


def test_what_lies_there_by_its_receipt_is_not_fetched_again(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        first = saver.save(output(server.url), "x", owner="task_1#0")
        assert saver.save(output("http://nowhere.test/"), "x", owner="task_1#0") == first
        assert len(server.asked) == 1
        saver.save(output(server.url), "x", owner="task_2#0")
        saver.save(output(server.url), "x")
        assert len(server.asked) == 3


@pytest.mark.parametrize("damage", ["shorter", "gone", "receipt cut", "receipt gone"])
def test_what_does_not_lie_there_whole_is_fetched_again(tmp_path: Path, damage: str) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        saver.save(output(server.url), "x", owner="o")
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
        saver.save(output(server.url), "x", owner="o")
        assert len(server.asked) == 2
    assert final.read_bytes() == PICTURE


def test_an_existing_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")

    def looking(asked: Asked) -> Iterator[bytes]:
        yield head(content_length=5000)
        yield PICTURE[:2500]
        seen.append((tmp_path / "x.png").read_bytes())
        yield PICTURE[2500:]

    seen: list[bytes] = []
    with hostile(looking) as server, saver_to(tmp_path, server.url) as saver:
        saver.save(output(server.url), "x")
    assert seen == [b"old"]
    assert (tmp_path / "x.png").read_bytes() == PICTURE


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _land_and_die(folder: Path, moment: str) -> None:
    destination = destination_at(str(folder))
    file = SavedFile(destination.uri("x.png"), 5, "abc", "image/png")
    with destination.staging.new_file("key") as staged:
        staged.write(b"12345")
        staged.flush()
        if moment == "before the receipt":
            _die()
        if moment == "before the move":
            destination._move = lambda *_: _die()  # type: ignore[attr-defined]  # of the local one
        destination.commit(staged, "x.png", file, Receipt("key", "owner", "x.png", file))
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
    assert files_below(tmp_path) == ([".apimart/key.json", "x.png"] if was_whole else [])
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
                saver.save(output(server.url), f"x{number}", owner=str(number))
        finally:
            over.set()
        assert all(each.result() for each in beginning)
    assert len(list(tmp_path.glob("*.png"))) == 40


def test_a_destination_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ApimartDestinationError, match="costs nothing"):
        ResultSaver(tmp_path / "file")


def test_a_name_that_is_taken_by_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with (
        hostile(whole(PICTURE)) as server,
        saver_to(tmp_path, server.url) as saver,
        pytest.raises(errors.ApimartDestinationError, match="costs nothing"),
    ):
        saver.save(output(server.url), "x")
    assert files_below(tmp_path) == []


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
        network = Network(reach=AddressPolicy(server.url))
        with ResultSaver("memory://bucket/pictures", network=network) as saver:
            saved = saver.save(output(server.url), "a/x", owner="o")
            assert saver.save(output(server.url), "a/x", owner="o") == saved
        assert len(server.asked) == 1
    assert saved.uri.endswith("bucket/pictures/a/x.png")
    assert sha256(store.cat_file("/bucket/pictures/a/x.png")) == saved.sha256
    assert {size for name, size in store.seen if name.endswith("x.png")} == {5000}
    assert not [name for name in store.find("/") if "partial" in name]
