"""Copies of saved files: whole or not at all, checked, and by the store itself where it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.results.storage.destination import Destination
from airflow_provider_apimart.results.storage.kept_file import (
    KeptFile,
    check_unchanged,
    copy_kept,
    kept_file,
    present_files,
)
from airflow_provider_apimart.results.storage.open_destination import destination_at
from airflow_provider_apimart.results.storage.paths import uri_of
from airflow_provider_apimart.results.storage.receipts import KeptFileLostError
from tests.batch.places import BUCKET, Place, read
from tests.library.support import saved, stored
from tests.results.hostile import picture
from tests.s3 import S3Server

pytestmark = pytest.mark.slow

CONTENT, OTHER = picture(3000), picture(3000, 2)


@pytest.fixture
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Return two empty directories, of the kinds of storage that a test names."""
    for kind in request.param:
        if kind is Place.S3:
            request.getfixturevalue("s3").bucket(BUCKET)
        kind.attach()
    return (request.param[0].uri(tmp_path / "from"), request.param[1].uri(tmp_path / "to"))


PLACES = [Place.LOCAL, Place.S3, Place.MEMORY]
every_way = pytest.mark.parametrize(
    "folders", [(one, other) for one in PLACES for other in PLACES], indirect=True, ids=lambda pair: "-".join(pair)
)


def opened(uri: str) -> Destination:
    destination = destination_at(uri)
    destination.recover()
    return destination


def uri_in(folder: str, name: str) -> str:
    """Return the URI of a file, with as many slashes as this Airflow's storage layer writes."""
    return uri_of(ObjectStoragePath(folder) / name)


@every_way
def test_a_copy_has_a_name_and_a_receipt_of_its_own(folders: tuple[str, str]) -> None:
    kept, destination = kept_file(stored(f"{folders[0]}/a.png", CONTENT)), opened(folders[1])
    copied = copy_kept(destination, kept, "deep/kettle", "task_1#0")
    assert copied.uri == uri_in(folders[1], "deep/kettle.png")
    assert read(copied.uri) == CONTENT
    assert (copied.bytes, copied.sha256) == (kept.file.bytes, kept.file.sha256)
    assert destination.find("deep/kettle", "task_1#0") == copied
    assert copy_kept(destination, kept, "deep/kettle", "task_1#0") == copied
    other = copy_kept(destination, kept, "deep/kettle", "task_2#0")
    assert other.uri != copied.uri
    assert read(other.uri) == CONTENT


@every_way
def test_a_foreign_file_keeps_its_name(folders: tuple[str, str]) -> None:
    kept, destination = kept_file(stored(f"{folders[0]}/a.png", CONTENT)), opened(folders[1])
    stored(f"{folders[1]}/kettle.png", b"mine")
    copied = copy_kept(destination, kept, "kettle", "task_1#0")
    assert read(f"{folders[1]}/kettle.png") == b"mine"
    assert read(copied.uri) == CONTENT


@every_way
@pytest.mark.parametrize("now", [None, OTHER, CONTENT[:-1]], ids=["removed", "changed", "cut"])
def test_a_file_that_is_not_what_was_saved_is_not_copied(folders: tuple[str, str], now: bytes | None) -> None:
    kept, destination = kept_file(stored(f"{folders[0]}/a.png", CONTENT)), opened(folders[1])
    path = ObjectStoragePath(kept.file.uri)
    path.fs.rm_file(path.path) if now is None else path.fs.pipe_file(path.path, now)
    whole = present_files([kept])
    assert (kept in whole) is (now is OTHER)
    current = whole.get(kept, KeptFile(kept.file))
    with pytest.raises(KeptFileLostError):
        check_unchanged(current)
    with pytest.raises(KeptFileLostError):
        copy_kept(destination, current, "kettle", "task_1#0")
    assert destination.size("kettle.png") is None
    assert destination.find("kettle", "task_1#0") is None
    new = stored(f"{folders[0]}/b.png", OTHER)
    assert copy_kept(destination, kept_file(new), "kettle", "task_2#0").uri == uri_in(folders[1], "kettle.png")


def test_what_vanishes_in_the_moment_of_the_copy_leaves_nothing(s3: S3Server) -> None:
    """Its tag was compared just before, so the store is asked to copy it."""
    s3.bucket(BUCKET)
    folder = Place.S3.uri(Path())
    kept, destination = kept_file(stored(f"{folder}/from/a.png", CONTENT)), opened(f"{folder}/to")
    path = ObjectStoragePath(kept.file.uri)
    path.fs.rm_file(path.path)
    with pytest.raises(KeptFileLostError):
        copy_kept(destination, kept, "kettle", "task_1#0")
    names = [name for name in path.fs.find(ObjectStoragePath(f"{folder}/to").path) if "README" not in name]
    assert names == []


def test_one_store_copies_by_itself(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.bucket(BUCKET)
    folder = Place.S3.uri(Path())
    kept, destination = kept_file(stored(f"{folder}/from/a.png", CONTENT)), opened(f"{folder}/to")
    store = ObjectStoragePath(folder).fs
    monkeypatch.setattr(type(store), "open", lambda *_, **__: pytest.fail("the file is read"))
    copied = copy_kept(destination, kept, "kettle", "task_1#0")
    monkeypatch.undo()
    assert read(copied.uri) == CONTENT


@pytest.mark.parametrize("folders", [(each, each) for each in PLACES], indirect=True)
def test_what_a_killed_process_had_claimed_is_completed(folders: tuple[str, str]) -> None:
    """The receipt is written first: without its file, it holds the name for the next try."""
    kept, destination = kept_file(stored(f"{folders[0]}/a.png", CONTENT)), opened(folders[1])
    copied = copy_kept(destination, kept, "kettle", "task_1#0")
    path = ObjectStoragePath(copied.uri)
    path.fs.rm_file(path.path)
    assert copy_kept(opened(folders[1]), kept, "kettle", "task_1#0") == copied
    assert read(copied.uri) == CONTENT


@pytest.mark.parametrize("folders", [(each, each) for each in PLACES], indirect=True)
@pytest.mark.parametrize("count", [3, 25], ids=["one by one", "listed"])
def test_many_files_are_looked_for_at_once(folders: tuple[str, str], count: int) -> None:
    kept = [kept_file(stored(f"{folders[0]}/{number}.png", CONTENT)) for number in range(count)]
    absent = [KeptFile(saved(f"{folders[0]}/absent{number}.png", CONTENT)) for number in range(count)]
    longer = KeptFile(saved(kept[0].file.uri, CONTENT + b"x"))
    assert present_files([*kept, *absent, longer]) == {each: each for each in kept}


def test_a_file_that_is_gone_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(KeptFileLostError, match="is gone"):
        kept_file(saved((tmp_path / "x.png").as_uri(), CONTENT))
