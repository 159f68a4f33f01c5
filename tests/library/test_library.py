"""Entries and contents of references in every kind of storage."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import OutputKind
from airflow_provider_apimart.durable.checksummed_json import checked_json, with_checksum
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.exceptions import ApimartLibraryError
from airflow_provider_apimart.library.entry import EntryFile
from airflow_provider_apimart.library.library import ENTRIES, Library
from airflow_provider_apimart.library.pack import Copied, pack_from_bytes, pack_place, pack_to_bytes
from airflow_provider_apimart.library.reference_content import ReferenceContents
from airflow_provider_apimart.library.task_library import TaskLibrary
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from tests.durable.stores import WholeFileSystem
from tests.library.support import IDENTITY, NOON, REQUEST, entry, stored
from tests.object_storage import attach_anew
from tests.s3 import CONNECTION_ID, S3Server

pytestmark = pytest.mark.slow

# A storage whose listings lag behind makes misses, until it shows what was written.
everywhere = pytest.mark.parametrize("place", ["local", "memory", "S3", "in place"], indirect=True)
OTHER = "0" * 64


def found(library: Library, *identities: str, since: Any = NOON - timedelta(days=1)) -> list[str]:
    return [
        each.generation_id for entries in library.find(identities or (IDENTITY,), since).values() for each in entries
    ]


@everywhere
def test_entries_are_found_by_identity_and_age_in_their_order(place: str) -> None:
    library = Library(place)
    assert found(library) == []
    for number, hours in enumerate([3, 1, 2, 2, -30]):
        library.enter(entry(number, completed=NOON + timedelta(hours=hours)))
    library.enter(entry(9, identity=OTHER))
    assert found(Library(place)) == ["task_1", "task_2", "task_3", "task_0"]
    assert found(library, since=NOON + timedelta(hours=2)) == ["task_2", "task_3", "task_0"]
    assert found(library, OTHER) == ["task_9"]
    assert found(library, "f" * 64) == []


@pytest.mark.parametrize("place", ["local", "S3"], indirect=True)
@pytest.mark.parametrize("ending", ["", "/"])
def test_many_identities_are_found_as_a_few_are(place: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(place + ending)
    identities = [f"{number:02x}" + "5" * 62 for number in range(0, 256, 2)]
    for number, identity in enumerate(identities):
        library.enter(entry(number, identity=identity))
    # None of these is where its identity says.
    library.write(f"{ENTRIES}/{entry(501).name}", entry(501).to_bytes())
    library.write(f"{ENTRIES}/00/inside/{entry(502, identity=identities[3]).name}", b"a directory of that name")
    library.write(f"{ENTRIES}/01/{entry(503, identity=identities[3]).name}", entry(503).to_bytes())
    wanted = [*identities[5:], IDENTITY]
    few = {generation_id for each in wanted for generation_id in found(library, each)}
    assert len(few) == len(identities) - 5

    monkeypatch.setattr("airflow_provider_apimart.library.library._LISTED_TOGETHER_FROM", 2)
    assert set(found(library, *wanted)) == few


@pytest.mark.parametrize("together_from", [1, 192])
def test_nothing_is_found_in_a_bucket_that_is_not_there(
    s3: S3Server, together_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_apimart.library.library._LISTED_TOGETHER_FROM", together_from)
    assert found(Library(f"s3://{CONNECTION_ID}@no-such-bucket/library")) == []


@everywhere
def test_an_entry_that_is_written_twice_is_one(place: str) -> None:
    library = Library(place)
    for completed in (NOON, NOON, NOON + timedelta(hours=1)):
        library.enter(entry(1, completed=completed))
    assert found(library) == ["task_1"]


@pytest.mark.parametrize("place", ["local", "S3"], indirect=True)
def test_what_is_no_entry_is_left_out(place: str) -> None:
    library, good = Library(place), entry(1)
    folder = f"{ENTRIES}/{IDENTITY[:2]}"
    newer = {**checked_json(entry(2).to_bytes().decode()), "apimart_result": 2}
    library.enter(good)
    library.write(f"{folder}/{entry(2).name}", with_checksum(newer).encode())
    library.write(f"{folder}/{entry(3).name}", entry(3).to_bytes()[:-9])
    library.write(f"{folder}/{entry(4).name}", b"")
    library.write(f"{folder}/{entry(5).name}", entry(6).to_bytes())
    library.write(f"{folder}/{entry(7).name}", b"[" * 100_000)
    library.write(f"{folder}/{entry(8).name}/inside", b"a directory of that name")
    library.write(f"{folder}/notes.txt", b"mine")
    assert found(library) == ["task_1"]


@everywhere
def test_urls_of_uploads_are_known_by_their_content(place: str) -> None:
    contents = ReferenceContents(Library(place))
    urls = [f"https://cdn.example/{number}.png" for number in range(5)]
    for url in urls[:3]:
        contents.note(url, "ab" * 32)
    assert contents.known(urls) == dict.fromkeys(urls[:3], "ab" * 32)
    assert contents.known([]) == {}


def test_a_damaged_content_makes_its_url_unknown(tmp_path: Path) -> None:
    contents = ReferenceContents(Library(tmp_path.as_uri()))
    for number, harm in enumerate([b"", b"{}", b"null", b"\xff", with_checksum({"apimart_reference": 2}).encode()]):
        contents.note(f"https://x/{number}", "ab" * 32)
        (written,) = (each for each in tmp_path.rglob("*.json") if each.read_bytes() not in (harm, b"seen"))
        written.write_bytes(harm)
        assert contents.known([f"https://x/{number}"]) == {}
        written.write_bytes(b"seen")


def request_of(payload: dict[str, Any] = REQUEST) -> PaidRequest:
    return PaidRequest("apimart_default", Modality.IMAGE, payload)


def kept(tmp_path: Path, number: int, content: bytes = b"picture") -> Any:
    file = stored((tmp_path / "pictures" / f"{number}.png").as_uri(), content)
    return entry(number, files=(EntryFile(KeptFile(file), OutputKind.IMAGE),))


def test_only_entries_with_all_their_files_are_found(tmp_path: Path) -> None:
    library = Library((tmp_path / "library").as_uri())
    for number in range(4):
        library.enter(kept(tmp_path, number))
    (tmp_path / "pictures" / "1.png").unlink()
    (tmp_path / "pictures" / "2.png").write_bytes(b"longer picture")
    task = TaskLibrary((tmp_path / "library").as_uri(), 3600.0)
    (entries,) = task.find([IDENTITY], NOON).values()
    assert [each.generation_id for each in entries] == ["task_0", "task_3"]


@pytest.mark.parametrize(
    "uri", ["nothing://bucket/x.png", "s3://no_such_conn@bucket/x.png", "x.png", "", "file:///proc/1/mem"]
)
def test_files_that_cannot_be_read_make_a_miss(tmp_path: Path, uri: str) -> None:
    library, good = Library(tmp_path.as_uri()), kept(tmp_path, 1)
    (file,) = good.files
    odd = KeptFile(type(file.kept.file)(uri, 7, file.kept.file.sha256, "image/png"))
    library.enter(entry(2, files=(EntryFile(odd, OutputKind.IMAGE),)))
    library.enter(good)
    task = TaskLibrary(tmp_path.as_uri(), 3600.0, is_required=True)
    (entries,) = task.find([IDENTITY], NOON).values()
    assert [each.generation_id for each in entries] == ["task_1"]


def test_a_library_that_cannot_be_written_is_reported_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    task = TaskLibrary(tmp_path.as_uri(), 3600.0)
    for name in (ENTRIES, "references"):
        (tmp_path / name).write_text("no directory")
    good = kept(tmp_path, 1)
    for _ in range(3):
        task.enter(request_of(), good.generation(), [file.kept.file for file in good.files], good.made_by)
        task.note_upload("https://x/1", "ab" * 32)
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    assert "can't be entered" in caplog.text


def test_a_library_that_cannot_be_opened_is_reported_by_a_task_that_only_enters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no directory")
    task, good = TaskLibrary((tmp_path / "file").as_uri()), kept(tmp_path, 1)
    for _ in range(2):
        task.enter(request_of(), good.generation(), [file.kept.file for file in good.files], good.made_by)
    assert [each.message.partition(" (")[0] for each in caplog.records if each.levelno >= logging.WARNING] == [
        "Results can't be entered into the library"
    ]


@pytest.mark.parametrize("folder", [ENTRIES, "references"])
def test_a_part_that_cannot_be_read_counts_as_the_whole(tmp_path: Path, folder: str) -> None:
    required = TaskLibrary(tmp_path.as_uri(), 3600.0, is_required=True)
    (tmp_path / folder).symlink_to(tmp_path / folder)
    with pytest.raises(ApimartLibraryError, match="can't be read"):
        required.find(required.identities([request_of({**REQUEST, "image_urls": ["https://x/1"]})]))
    tolerant = TaskLibrary(tmp_path.as_uri(), 3600.0)
    assert tolerant.find(tolerant.identities([request_of({**REQUEST, "image_urls": ["https://x/1"]})])) == {}


def test_a_file_that_is_gone_is_not_entered(tmp_path: Path) -> None:
    task, good = TaskLibrary(tmp_path.as_uri(), 3600.0), kept(tmp_path, 1)
    (tmp_path / "pictures" / "1.png").unlink()
    task.enter(request_of(), good.generation(), [file.kept.file for file in good.files], good.made_by)
    assert not (tmp_path / ENTRIES).exists()


def test_results_without_an_id_have_one_that_no_other_result_has(tmp_path: Path) -> None:
    task = TaskLibrary(tmp_path.as_uri(), 3600.0)
    for number in range(2):
        good = kept(tmp_path, number, b"%d" % number)
        at_once = good.generation().__class__(**{**vars(good.generation()), "generation_id": None})
        task.enter(request_of(), at_once, [file.kept.file for file in good.files], good.made_by)
    (entries,) = task.find([IDENTITY], NOON).values()
    assert len({each.generation_id for each in entries}) == 2
    assert all(each.generation_id.startswith("result-") for each in entries)


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"\xff", b"{}", b"5", b'["a"]', b'["a", 5]', b"1" * 5000, b'{"a": "b", "c": "d"}']
)
def test_a_damaged_line_of_a_pack_is_left_out(line: bytes) -> None:
    whole = pack_to_bytes({"a": Copied("tag", b"content")})
    assert pack_from_bytes(line + b"\tcontent\n" + whole)["a"] == Copied("tag", b"content")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that libraries read from now on."""
    names: list[str] = []
    read = Library._read

    def noted(self: Library, where: str) -> bytes | None:
        names.append(where)
        return read(self, where)

    monkeypatch.setattr(Library, "_read", noted)
    return names


@pytest.mark.parametrize("place", ["local", "S3"], indirect=True)
def test_what_a_task_has_entered_is_read_at_once_by_its_next_run(place: str, reads: list[str]) -> None:
    library, pack = Library(place), pack_place("dag", "task", -1)
    identities = [f"{number:064x}" for number in range(60)]
    for hours in (0, 24):
        entries = [
            entry(number, identity=identity, completed=NOON + timedelta(hours=hours), generation_id=f"{hours}-{number}")
            for number, identity in enumerate(identities)
        ]
        for each in entries:
            library.enter(each)
        library.add_to_pack(pack, {each.name: each.to_bytes() for each in entries}, NOON + timedelta(hours=hours / 2))
        del reads[:]
        assert library.find(identities, entries[0].completed, pack) == {each.identity: [each] for each in entries}
        assert len(reads) == (1 if place.startswith("s3") else 60)
    if place.startswith("s3"):
        assert len(pack_from_bytes(library.read([pack])[pack])) == 60, "what is too old has left the pack"
        library.find(["f" * 64], NOON, pack)
        assert not pack_from_bytes(library.read([pack])[pack]), "nor does it keep what isn't looked up any more"


@pytest.mark.parametrize("place", ["local", "S3"], indirect=True)
def test_a_pack_saves_reads_and_serves_nothing_that_has_changed(place: str, reads: list[str]) -> None:
    library, pack = Library(place), pack_place("dag", "task", -1)
    identities = [f"{number:064x}" for number in range(60)]
    for number, identity in enumerate(identities):
        library.enter(entry(number, identity=identity))
    first = library.find(identities, NOON, pack)
    del reads[:]
    assert library.find(identities, NOON, pack) == first
    assert len(reads) == (1 if place.startswith("s3") else 60), "a disk is read as fast without a pack"
    changed, damaged, gone = entry(0, identity=identities[0], cost=None), entry(1, identity=identities[1]), entry(2)
    library.enter(changed)
    library.write(f"{ENTRIES}/00/{damaged.name}", damaged.to_bytes()[:-1])
    removed = library.root / ENTRIES / "00" / entry(2, identity=identities[2]).name
    removed.fs.rm_file(removed.path)
    again = library.find(identities, NOON, pack)
    assert again == {**{name: first[name] for name in identities[3:]}, identities[0]: [changed]}
    assert gone.generation_id not in {each.generation_id for entries in again.values() for each in entries}
    library.write(pack, b"damaged\n\tx\n[1]\t{}\n" + bytes(range(256)))
    assert library.find(identities, NOON, pack) == again


class DenyingFileSystem(WholeFileSystem):
    """A store in which some files belong to somebody else, as S3 reports them."""

    protocol = "gs"
    denied: ClassVar[frozenset[str]] = frozenset()

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        if path.rpartition("/")[2] in self.denied:
            raise PermissionError("Access Denied")
        return bytes(super().cat_file(path, start, end, **kwargs))


@pytest.mark.parametrize("denied", range(4))
def test_entries_that_are_denied_are_left_out_unless_all_are(denied: int, caplog: pytest.LogCaptureFixture) -> None:
    attach_anew("gs", DenyingFileSystem())
    library, entries = Library(f"gs://bucket/{denied}"), [entry(number) for number in range(3)]
    for each in entries:
        library.enter(each)
    DenyingFileSystem.denied = frozenset(each.name for each in entries[:denied])
    if denied == len(entries):
        with pytest.raises(PermissionError):
            found(library)
    else:
        assert sorted(found(library)) == [f"task_{number}" for number in range(denied, 3)]
        assert (f"left out: {denied}" in caplog.text) is (denied > 0)
