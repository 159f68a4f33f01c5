"""Which files are served: those that the index and a ledger name, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from PIL import Image

from airflow_provider_apimart.page_index.entry import IndexEntry, Kind, State
from airflow_provider_apimart.page_index.writing import IndexFile
from airflow_provider_apimart.plugin import thumbnails
from airflow_provider_apimart.plugin.items import item_of
from tests.object_storage import attach_anew
from tests.page.content import ledger_name

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def asked(browser: TestClient, folder: Path, uri: object, *, kind: str = "files", **headers: str) -> Any:
    """Ask for the first file of an item that names it so."""
    return requested(browser, folder, [{"uri": uri, "media_type": "image/png"}], kind=kind, **headers)


def requested(
    browser: TestClient,
    folder: Path | str,
    files: list[dict[str, Any]],
    *,
    kind: str = "files",
    number: str = "0",
    method: str = "GET",
    **headers: str,
) -> Any:
    """Ask for a file of an item that names some."""
    destination = folder if isinstance(folder, str) else folder.as_uri()
    ledgers = Path(os.environ["AIRFLOW__APIMART__LEDGER_PATH"])
    ledgers.mkdir(parents=True, exist_ok=True)
    line: dict[str, Any] = {"id": "a", "status": "completed", "files": files}
    ledger = ledgers / ledger_name("d", "t", "r")
    ledger.write_text(json.dumps(line))
    entry = IndexEntry(
        "b", Kind.BATCH, "d", "t", "r", state=State.FINISHED, ledger=ledger.as_uri(), destination=destination
    )
    IndexFile().write(entry)
    item = item_of(line)
    assert item
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.request(method, f"/{kind}/b/{item.key}/{number}", headers=named)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Provide the directory of a task, with a picture in it and secrets beside it."""
    folder = tmp_path / "results"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "deep" / "b.png").write_bytes(PNG)
    (folder / "secret.txt").write_text("password: hunter2")
    (tmp_path / "outside.png").write_bytes(PNG)
    return folder


@pytest.mark.parametrize("name", ["a.png", "deep/b.png"])
@pytest.mark.parametrize("form", ["file://{}", "{}", "FILE://{}", "local://{}"])
def test_a_file_of_the_task_is_served_however_it_is_named(
    viewer: TestClient, folder: Path, name: str, form: str
) -> None:
    reply = asked(viewer, folder, form.format(folder / name))
    assert (reply.status_code, reply.content) == (200, PNG)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "uri",
    [
        "{0}/../outside.png",
        "file://{0}/../outside.png",
        "file://{0}/deep/../../outside.png",
        "{0}/%2e%2e/outside.png",
        "{1}/outside.png",
        "file://{1}/outside.png",
        "{0}",
        "{0}/",
        "{0}/deep",
        "{0}/secret.txt",
        "/etc/passwd",
        "file:///etc/passwd",
        "//etc/passwd",
        "results/a.png",
        "a.png",
        "",
        "{0}/a.png\0.png",
        "{0}/missing.png",
        "http://127.0.0.1:1/a.png",
        "https://example.com/a.png",
        "ftp://example.com/a.png",
        "data:image/png;base64,AAAA",
        "data://a/b",
        "memory://a/b.png",
        "github://a/b.png",
        "zip://a.png::file://{0}/a.zip",
        "simplecache::file://{0}/a.png",
        "file://localhost{0}/a.png",
        "javascript:alert(1)",
        "s3://",
        "s3://bucket",
        7,
        None,
        ["{0}/a.png"],
        {"path": "{0}/a.png"},
    ],
)
@pytest.mark.parametrize("kind", ["files", "thumbnails"])
def test_nothing_else_is_served(viewer: TestClient, folder: Path, tmp_path: Path, uri: object, kind: str) -> None:
    named = uri.replace("{0}", str(folder)).replace("{1}", str(tmp_path)) if isinstance(uri, str) else uri
    reply = asked(viewer, folder, named, kind=kind)
    assert reply.status_code == 404
    assert "hunter2" not in reply.text
    assert "root:" not in reply.text


@pytest.mark.parametrize("where", ["file", "directory", "hidden behind a link to itself"])
def test_no_symbolic_link_leads_out(viewer: TestClient, folder: Path, tmp_path: Path, where: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.png").write_bytes(PNG)
    if where == "file":
        (folder / "link.png").symlink_to(other / "b.png")
        uri = folder / "link.png"
    elif where == "directory":
        (folder / "link").symlink_to(other)
        uri = folder / "link" / "b.png"
    else:
        (folder / "link.png").symlink_to("a.png")
        uri = folder / "link.png"
    assert asked(viewer, folder, str(uri)).status_code == 404


def test_the_directory_itself_may_be_linked(viewer: TestClient, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(folder)
    reply = asked(viewer, tmp_path / "mounted", str(tmp_path / "mounted" / "a.png"))
    assert reply.status_code == 200


def test_a_pipe_is_no_file(viewer: TestClient, folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    assert asked(viewer, folder, str(folder / "pipe.png")).status_code == 404


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04zip", b"<html><script>alert(1)</script>", b"%PDF-1.7", b"password: x", b"\x7fELF"]
)
def test_what_is_no_image_video_or_audio_is_not_served(viewer: TestClient, folder: Path, content: bytes) -> None:
    (folder / "a.png").write_bytes(content)
    reply = asked(viewer, folder, str(folder / "a.png"))
    assert reply.status_code == 404
    assert content == b"" or content not in reply.content


def test_an_svg_opened_by_itself_runs_nothing(viewer: TestClient, folder: Path) -> None:
    (folder / "a.svg").write_bytes(SVG)
    reply = asked(viewer, folder, str(folder / "a.svg"))
    assert reply.headers["content-type"] == "image/svg+xml"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert policy.endswith("sandbox")
    assert "script-src" not in policy


@pytest.mark.parametrize("number", ["1", "-1", "99999999999999999999", "a", "../0", "%2e%2e%2f0", "0%00"])
def test_only_the_numbers_of_its_files_are_served(viewer: TestClient, folder: Path, number: str) -> None:
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png"}]
    reply = requested(viewer, folder, files, number=number)
    assert reply.status_code in (404, 422)


@pytest.mark.parametrize("path", ["b/../../../a", "../b/x/0", "b/%2e%2e/0", "index/2026-11/b.json/0", "x/y/0", "b/b/0"])
def test_no_path_of_an_address_is_one_of_a_file(viewer: TestClient, folder: Path, path: str) -> None:
    asked(viewer, folder, str(folder / "a.png"))
    assert viewer.get(f"/files/{path}").status_code in (404, 405)


@pytest.mark.parametrize("name", ["../plugin.py", "%2e%2e/environment.py", "..%2fenvironment.py", "x", "page.css/", ""])
def test_no_other_file_of_the_package_is_served(viewer: TestClient, name: str) -> None:
    assert viewer.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("asked_for", "status", "content"),
    [
        ("bytes=0-9", 206, PNG[:10]),
        ("bytes=10-", 206, PNG[10:]),
        ("bytes=-5", 206, PNG[-5:]),
        ("bytes=0-999999", 206, PNG),
        (f"bytes={len(PNG)}-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=9-3", 200, PNG),
        ("bytes=0-1,5-6", 200, PNG),
        ("lines=0-1", 200, PNG),
        ("bytes=a-b", 200, PNG),
    ],
)
def test_parts_of_a_file_are_served(
    viewer: TestClient, folder: Path, asked_for: str, status: int, content: bytes
) -> None:
    reply = asked(viewer, folder, str(folder / "a.png"), range=asked_for)
    assert (reply.status_code, reply.content) == (status, content)
    assert reply.headers["accept-ranges"] == "bytes"
    if status == 206:
        assert reply.headers["content-range"].endswith(f"/{len(PNG)}")
    if status == 416:
        assert reply.headers["content-range"] == f"bytes */{len(PNG)}"


def test_a_head_request_is_answered_without_content(viewer: TestClient, folder: Path) -> None:
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png"}]
    reply = requested(viewer, folder, files, method="HEAD")
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", str(len(PNG)))


def test_an_unchanged_file_is_not_sent_again(viewer: TestClient, folder: Path) -> None:
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png", "sha256": "ab" * 32}]
    tag = requested(viewer, folder, files).headers["etag"]
    assert requested(viewer, folder, files, if_none_match=tag).status_code == 304
    assert requested(viewer, folder, files, if_range='"other"', range="bytes=0-1").status_code == 200
    assert requested(viewer, folder, files, if_range=tag, range="bytes=0-1").status_code == 206


@pytest.mark.parametrize(
    "tags", ["{}", "W/{}", '"other", {}', "*", '"other",W/{}'], ids=["same", "weak", "list", "any", "weak in a list"]
)
@pytest.mark.parametrize("sha256", ["ab" * 32, None])
def test_any_form_of_a_tag_is_recognised(viewer: TestClient, folder: Path, tags: str, sha256: str | None) -> None:
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png", "sha256": sha256}]
    tag = requested(viewer, folder, files).headers["etag"].removeprefix("W/")
    assert requested(viewer, folder, files, if_none_match=tags.format(tag)).status_code == 304
    assert requested(viewer, folder, files, if_none_match='"other"').status_code == 200


def test_a_weak_tag_joins_no_parts(viewer: TestClient, folder: Path) -> None:
    """Without a SHA-256, two files of one size have one tag."""
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png"}]
    tag = requested(viewer, folder, files).headers["etag"]
    assert requested(viewer, folder, files, if_range=tag, range="bytes=0-1").status_code == 200


@pytest.mark.parametrize("name", ["page.css", "page.js", "icon.svg"])
def test_static_files_are_asked_for_again_after_an_upgrade(viewer: TestClient, name: str) -> None:
    reply = viewer.get(f"/static/{name}")
    assert "no-cache" in reply.headers["cache-control"]
    assert viewer.get(f"/static/{name}", headers={"If-None-Match": reply.headers["etag"]}).status_code == 304
    assert viewer.get(f"/static/{name}", headers={"If-None-Match": '"older"'}).content == reply.content


RANGES = ["bytes=0-0,-1", "bytes=0-,0-,0-", "bytes=" + ",".join(["0-"] * 5000), "bytes=0-99999999999999999999999"]
RANGES += [
    "bytes=-99999999999999999999999",
    "bytes=--1",
    "bytes=1-2-3",
    "bytes=\u0661-2",
    "bytes=+1-2",
    "bytes=0x1-",
    ",",
]


@pytest.mark.parametrize("asked_for", RANGES, ids=range(len(RANGES)))
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_odd_ranges_bring_the_whole_file(viewer: TestClient, folder: Path, asked_for: str, method: str) -> None:
    files = [{"uri": str(folder / "a.png"), "media_type": "image/png"}]
    headers = {"range": asked_for.encode("latin-1", "replace")}
    reply = requested(viewer, folder, files, method=method, **headers)  # type: ignore[arg-type]  # as bytes
    assert reply.status_code == 200
    assert reply.headers["content-length"] == str(len(PNG))


NAMES = ['a";x=".png', "a\r\nSet-Cookie: x=1.png", "\u202egnp.exe", "\U0001f98a fox.png", "a%2f..%2fb.png", "a;b,c.png"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_of_a_file_is_no_header(viewer: TestClient, folder: Path, name: str) -> None:
    (folder / name).write_bytes(PNG)
    reply = asked(viewer, folder, str(folder / name))
    assert reply.status_code == 200
    assert "set-cookie" not in reply.headers
    said = reply.headers["content-disposition"].removeprefix("inline; filename*=UTF-8''")
    assert unquote(said) == name
    assert not set(said) & set(' "\r\n;,/')


def test_a_large_file_is_sent_whole(viewer: TestClient, folder: Path) -> None:
    content = PNG + os.urandom(3_000_000)
    (folder / "a.png").write_bytes(content)
    assert asked(viewer, folder, str(folder / "a.png")).content == content


def picture(folder: Path, name: str = "a.png", size: tuple[int, int] = (1200, 800), mode: str = "RGB") -> str:
    Image.new(mode, size, 120).save(folder / name)
    return str(folder / name)


def kept(place: Path) -> list[Path]:
    return sorted((place / "thumbnails").rglob("*.webp"))


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "P"), ("a.png", "I;16"), ("a.jpg", "L"), ("a.tif", "CMYK"), ("a.gif", "P")],
)
def test_a_thumbnail_is_made_once_and_kept(
    place: Path, viewer: TestClient, folder: Path, name: str, mode: str, tmp_path: Path
) -> None:
    uri = picture(folder, name, mode=mode)
    first = asked(viewer, folder, uri, kind="thumbnails")
    assert (first.status_code, first.headers["content-type"]) == (200, "image/webp")
    (file,) = kept(place)
    with Image.open(file) as small:
        assert small.size == (480, 320)
    file.write_bytes(b"kept")
    assert asked(viewer, folder, uri, kind="thumbnails").content == b"kept"


def test_a_changed_file_has_another_thumbnail(place: Path, viewer: TestClient, folder: Path) -> None:
    asked(viewer, folder, picture(folder), kind="thumbnails")
    asked(viewer, folder, picture(folder, size=(700, 900)), kind="thumbnails")
    assert len(kept(place)) == 2


def test_without_pillow_the_file_itself_is_served(
    place: Path, viewer: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "can_be_made", lambda: False)
    uri = picture(folder)
    assert asked(viewer, folder, uri, kind="thumbnails").content == Path(uri).read_bytes()
    assert kept(place) == []


@pytest.mark.parametrize("content", [PNG, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\0" * 99])
def test_of_a_damaged_picture_the_file_itself_is_served(viewer: TestClient, folder: Path, content: bytes) -> None:
    (folder / "a.png").write_bytes(content)
    assert asked(viewer, folder, str(folder / "a.png"), kind="thumbnails").content == content


def test_a_bomb_is_not_unpacked(place: Path, viewer: TestClient, folder: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(folder / "a.png")
    assert (folder / "a.png").stat().st_size < 100_000
    reply = asked(viewer, folder, str(folder / "a.png"), kind="thumbnails")
    assert reply.headers["content-type"] == "image/png"
    assert kept(place) == []


def test_a_thumbnail_that_cannot_be_kept_is_shown_anyway(
    place: Path, viewer: TestClient, folder: Path, tmp_path: Path
) -> None:
    place.mkdir(parents=True)
    (place / "thumbnails").write_text("a file where a directory should be")
    reply = asked(viewer, folder, picture(folder), kind="thumbnails")
    assert reply.headers["content-type"] == "image/webp"


def test_files_in_an_object_storage_are_served_in_parts(viewer: TestClient) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    storage = MemoryFileSystem()
    storage.pipe_file("/bucket/results/a.png", PNG)
    attach_anew("s3", storage)
    try:
        files = [{"uri": "s3://bucket/results/a.png", "media_type": "image/png"}]
        whole = requested(viewer, "s3://bucket/results", files)
        part = requested(viewer, "s3://bucket/results", files, range="bytes=3-8")
        elsewhere = requested(viewer, "s3://conn@bucket/results", files)
        gone = [{"uri": "s3://bucket/results/b.png", "media_type": "image/png"}]
        missing = requested(viewer, "s3://bucket/results", gone)
    finally:
        storage.rm("/bucket", recursive=True)
    assert (whole.status_code, whole.content) == (200, PNG)
    assert (part.status_code, part.content) == (206, PNG[3:9])
    assert elsewhere.status_code == 404
    assert missing.json()["detail"] == "The file is no longer there."
