"""Downloads that break off: resumed where the host can, begun again where it can't, and never patched together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.results.storage.receipts import SavedFile
from tests.results.hostile import Answer, Asked, Hostile, head, hostile, picture, sha256
from tests.results.support import POLICY, files_below, save, saver_to

SIZE = 200_000
TENTHS = [SIZE * tenth // 10 for tenth in range(1, 10)]
PICTURE, OTHER = picture(SIZE, 1), picture(SIZE, 2)
ETAG = '"one"'
LAST_MODIFIED = "Sun, 22 Nov 2026 10:00:00 GMT"

Part = Callable[[Asked, int], list[bytes]]


def rest(asked: Asked, offset: int, **headers: object) -> list[bytes]:
    """Answer a request for the rest of the file."""
    told = {"etag": ETAG, "content_range": f"bytes {offset}-{SIZE - 1}/{SIZE}", "content_length": SIZE - offset}
    return [head("206 Partial Content", **{**told, **headers}), PICTURE[offset:]]


def cut_once(at: int, part: Part = rest, *, content: bytes = PICTURE, **headers: Any) -> Answer:
    """Cut the first answer; answer the second with a part if one is asked for, and otherwise with the whole file."""
    announced: dict[str, Any] = {"etag": ETAG, "content_length": SIZE, **headers}

    def answer(asked: Asked) -> list[bytes]:
        if asked.number == 0:
            return [head(**announced), PICTURE[:at]]
        if asked.offset is not None:
            return part(asked, asked.offset)
        return [head(content_length=SIZE), content]

    return answer


def saved(answer: Answer, folder: Path) -> tuple[SavedFile, Hostile]:
    with hostile(answer) as server, saver_to(folder, server.url) as saver:
        file = save(saver, server.url, "x")
    assert files_below(folder) == ["x.png"]
    assert sha256(Path(file.uri).read_bytes()) == file.sha256
    return file, server


@pytest.mark.parametrize("at", [0, 1, 300, *TENTHS, SIZE - 1])
def test_the_rest_is_asked_for(tmp_path: Path, at: int) -> None:
    file, server = saved(cut_once(at), tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert server.asked[1].offset == (at or None)
    assert server.asked[1].headers.get("if-range") == (ETAG if at else None)


ENDED = PICTURE + b"IEND\xaeB`\x82"
RIFF = b"RIFF" + (SIZE - 8).to_bytes(4, "little") + b"WEBP" + PICTURE[12:]
VIDEO = b"\0\0\0\x18ftypmp42" + PICTURE[12:]


@pytest.mark.parametrize("at", [20, *TENTHS, SIZE - 1])
@pytest.mark.parametrize("content", [PICTURE, ENDED, RIFF, VIDEO])
def test_without_a_length_a_broken_download_is_no_end(tmp_path: Path, at: int, content: bytes) -> None:
    def answer(asked: Asked) -> list[bytes]:
        return [head(), content[:at] if asked.number == 0 else content]

    with hostile(answer) as server, saver_to(tmp_path, server.url) as saver:
        assert Path(save(saver, server.url, "x").uri).read_bytes() == content
    assert {asked.offset for asked in server.asked} == {None}


@pytest.mark.parametrize(
    ("content", "requests"), [(ENDED, 1), (ENDED + b"\0\n", 1), (RIFF, 1), (PICTURE, 2), (VIDEO, 2)]
)
def test_without_a_length_a_file_that_does_not_show_its_end_is_compared(
    tmp_path: Path, content: bytes, requests: int
) -> None:
    with hostile(lambda asked: [head(), content]) as server, saver_to(tmp_path, server.url) as saver:
        assert Path(save(saver, server.url, "x").uri).read_bytes() == content
    assert len(server.asked) == requests


def test_a_last_chunk_is_an_end(tmp_path: Path) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (SIZE, PICTURE)
    _, server = saved(lambda asked: [head(transfer_encoding="chunked"), chunked], tmp_path)
    assert len(server.asked) == 1


def test_a_file_cut_at_every_tenth_is_put_together(tmp_path: Path) -> None:
    def tenth(asked: Asked) -> list[bytes]:
        offset = asked.offset or 0
        begun = rest(asked, offset)[0] if offset else head(etag=ETAG, content_length=SIZE)
        return [begun, PICTURE[offset : offset + SIZE // 10]]

    file, server = saved(tenth, tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert [asked.offset for asked in server.asked] == [None, *TENTHS]


@pytest.mark.parametrize("at", TENTHS)
def test_without_ranges_it_is_begun_again(tmp_path: Path, at: int) -> None:
    def whole_again(asked: Asked, offset: int) -> list[bytes]:
        return [head(etag=ETAG, content_length=SIZE), PICTURE]

    file, server = saved(cut_once(at, whole_again), tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert len(server.asked) == 2


@pytest.mark.parametrize("at", TENTHS)
def test_a_file_that_has_changed_is_begun_again(tmp_path: Path, at: int) -> None:
    def changed(asked: Asked, offset: int) -> list[bytes]:
        assert asked.headers["if-range"] == ETAG
        return [head(etag='"two"', content_length=SIZE), OTHER]

    file, _ = saved(cut_once(at, changed), tmp_path)
    assert file.sha256 == sha256(OTHER)


WRONG: dict[str, Part] = {
    "another version": lambda asked, offset: rest(asked, offset, etag='"two"'),
    "from another byte": lambda asked, offset: rest(asked, offset, content_range=f"bytes 5-{SIZE - 1}/{SIZE}"),
    "from the first byte": lambda asked, offset: rest(asked, offset, content_range=f"bytes 0-{SIZE - 1}/{SIZE}"),
    "of another size": lambda asked, offset: rest(asked, offset, content_range=f"bytes {offset}-{SIZE}/{SIZE + 1}"),
    "of an unknown range": lambda asked, offset: rest(asked, offset, content_range="bytes ?"),
    "of a size without end": lambda asked, offset: rest(asked, offset, content_range=f"bytes {offset}-9/{'9' * 5000}"),
    "in another unit": lambda asked, offset: rest(asked, offset, content_range=f"pages {offset}-{SIZE - 1}/{SIZE}"),
    "not satisfiable": lambda asked, offset: [head("416 No", content_range=f"bytes */{SIZE}", content_length=0)],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_part_that_was_not_asked_for_is_never_patched_in(tmp_path: Path, wrong: str) -> None:
    file, server = saved(cut_once(SIZE // 2, WRONG[wrong], content=OTHER), tmp_path)
    assert file.sha256 == sha256(OTHER)
    assert server.asked[-1].offset is None


def test_several_parts_at_once_are_not_taken_for_one(tmp_path: Path) -> None:
    def parts(asked: Asked, offset: int) -> list[bytes]:
        return [head("206 Partial", content_type="multipart/byteranges; boundary=x"), b"--x\r\n"]

    file, _ = saved(cut_once(SIZE // 2, parts), tmp_path)
    assert file.sha256 == sha256(PICTURE)


def test_the_time_of_the_last_change_does_not_distinguish_versions(tmp_path: Path) -> None:
    headers = {"etag": 'W/"weak"', "last_modified": LAST_MODIFIED}
    answer = cut_once(SIZE // 2, lambda asked, offset: rest(asked, offset, **headers), content=OTHER, **headers)
    file, server = saved(answer, tmp_path)
    assert file.sha256 == sha256(OTHER)
    assert server.asked[1].offset is None


def test_a_rest_without_the_validator_is_not_patched_in(tmp_path: Path) -> None:
    def without_etag(asked: Asked, offset: int) -> list[bytes]:
        told = {"content_range": f"bytes {offset}-{SIZE - 1}/{SIZE}", "content_length": SIZE - offset}
        return [head("206 Partial Content", **told), OTHER[offset:]]

    file, _ = saved(cut_once(SIZE // 2, without_etag, content=OTHER), tmp_path)
    assert file.sha256 == sha256(OTHER)


def test_an_unasked_part_is_never_a_whole_file(tmp_path: Path) -> None:
    half = SIZE // 2

    def answer(asked: Asked) -> list[bytes]:
        if asked.number == 0:
            told = {"content_range": f"bytes 0-{half - 1}/{SIZE}", "content_length": half}
            return [head("206 Partial Content", **told), PICTURE[:half]]
        return [head(content_length=SIZE), PICTURE]

    file, server = saved(answer, tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert len(server.asked) == 2


def test_an_unasked_part_that_is_the_whole_file_is_taken(tmp_path: Path) -> None:
    told = {"content_range": f"bytes 0-{SIZE - 1}/{SIZE}", "content_length": SIZE}
    file, server = saved(lambda asked: [head("206 Partial Content", **told), PICTURE], tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert len(server.asked) == 1


@pytest.mark.parametrize("content_range", ["", f"bytes 0-{SIZE // 2 - 1}/*", "bytes 5-9/200000"])
def test_an_unasked_part_of_an_unknown_file_is_refused(tmp_path: Path, content_range: str) -> None:
    def answer(asked: Asked) -> list[bytes]:
        return [head("206 Partial", content_range=content_range, content_length=SIZE // 2), PICTURE[: SIZE // 2]]

    with (
        hostile(answer) as server,
        saver_to(tmp_path, server.url) as saver,
        pytest.raises(errors.ApimartDownloadError, match="another part"),
    ):
        save(saver, server.url, "x")
    assert files_below(tmp_path) == []


def test_a_short_rest_after_a_reply_without_length_is_not_the_end(tmp_path: Path) -> None:
    def answer(asked: Asked) -> list[bytes]:
        if asked.number == 0:
            chunk = PICTURE[:1000]
            begun = head(etag=ETAG, transfer_encoding="chunked")
            return [begun, f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n"]
        offset = asked.offset or 0
        return [
            rest(asked, offset, content_length=10 if asked.number == 1 else SIZE - offset)[0],
            PICTURE[offset : offset + 10] if asked.number == 1 else PICTURE[offset:],
        ]

    file, server = saved(answer, tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert [asked.offset for asked in server.asked] == [None, 1000, 1010]


def test_the_rest_of_a_file_of_unknown_size_is_not_its_end(tmp_path: Path) -> None:
    def answer(asked: Asked) -> list[bytes]:
        if asked.number == 0:
            return [head(etag=ETAG, transfer_encoding="chunked"), b"3e8\r\n" + PICTURE[:1000] + b"\r\n"]
        if asked.offset:
            begun = head("206 Partial Content", etag=ETAG, content_length=10, content_range="bytes 1000-1009/*")
            return [begun, PICTURE[1000:1010]]
        return [head(etag=ETAG, content_length=SIZE), PICTURE]

    file, server = saved(answer, tmp_path)
    assert file.sha256 == sha256(PICTURE)
    assert [asked.offset for asked in server.asked] == [None, 1000, None]


def test_without_anything_that_distinguishes_versions_it_is_begun_again(tmp_path: Path) -> None:
    file, server = saved(cut_once(SIZE // 2, etag='W/"weak"', content=OTHER), tmp_path)
    assert file.sha256 == sha256(OTHER)
    assert server.asked[1].offset is None


def test_a_host_that_never_gets_further_is_given_up(tmp_path: Path) -> None:
    def stuck(asked: Asked) -> list[bytes]:
        if asked.offset:
            return rest(asked, asked.offset)[:1]
        return [head(etag=ETAG, content_length=SIZE), PICTURE[:1000]]

    with hostile(stuck) as server, saver_to(tmp_path, server.url) as saver:
        with pytest.raises(errors.ApimartDownloadError, match="broke off"):
            save(saver, server.url, "x")
        assert len(server.asked) == POLICY.max_requests
    assert files_below(tmp_path) == []


def test_a_host_that_gets_further_by_one_byte_at_a_time_is_given_up(tmp_path: Path) -> None:
    def crawling(asked: Asked) -> Iterator[bytes]:
        offset = asked.offset or 0
        yield rest(asked, offset)[0] if offset else head(etag=ETAG, content_length=SIZE)
        yield PICTURE[offset : offset + (1 if offset else 1000)]

    with hostile(crawling) as server, saver_to(tmp_path, server.url, max_requests=7) as saver:
        with pytest.raises(errors.ApimartDownloadError, match="broke off"):
            save(saver, server.url, "x")
        assert len(server.asked) == 7
    assert files_below(tmp_path) == []
