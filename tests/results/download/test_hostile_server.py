"""Hostile hosts of results, over real sockets: no partial file, no file elsewhere, no endless download."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from threading import Event
from urllib.parse import unquote

import pytest

from airflow_provider_apimart import exceptions as errors
from tests.results.hostile import PNG, Asked, head, hostile, picture, sha256, whole
from tests.results.support import files_below, save, saver_to

SIZE = 200_000
PICTURE = picture(SIZE)


def refused(answer: object, folder: Path, **limits: object) -> errors.ApimartError:
    """Return the error with which an answer is refused, after seeing that it has left nothing behind."""
    with hostile(answer) as server, saver_to(folder, server.url, **limits) as saver:  # type: ignore[arg-type]  # of any kind
        with pytest.raises(errors.ApimartError) as caught:
            save(saver, f"{server.url}/x.png", "x", generation_id="task_1")
        assert caught.value.generation_id == "task_1"
        assert server.url in str(caught.value)
    assert files_below(folder) == []
    return caught.value


def test_a_whole_file_is_saved_with_size_and_digest(tmp_path: Path) -> None:
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path, server.url) as saver:
        saved = save(saver, server.url, "x")
    assert (saved.bytes, saved.sha256, saved.media_type) == (SIZE, sha256(PICTURE), "image/png")
    assert Path(saved.uri).read_bytes() == PICTURE
    assert files_below(tmp_path) == ["x.png"]


def test_an_endless_body_is_cut_at_the_cap(tmp_path: Path) -> None:
    def endless(asked: Asked) -> Iterator[bytes]:
        yield head()
        yield PNG
        yield from repeat(bytes(65_536))

    error = refused(endless, tmp_path, max_file_bytes=1_000_000)
    assert isinstance(error, errors.ApimartResultRefusedError)
    assert "max_file_bytes allows 1,000,000" in str(error)


def test_an_endless_chunked_body_is_cut_at_the_cap_of_all_files(tmp_path: Path) -> None:
    def endless(asked: Asked) -> Iterator[bytes]:
        yield head(transfer_encoding="chunked")
        yield b"8\r\n" + PNG + b"\r\n"
        yield from repeat(b"10000\r\n" + bytes(65_536) + b"\r\n")

    error = refused(endless, tmp_path, max_total_bytes=1_000_000)
    assert "max_total_bytes allows 1,000,000" in str(error)


def test_what_is_announced_too_large_is_not_read(tmp_path: Path) -> None:
    error = refused(lambda asked: [head(content_length=10**12), PICTURE], tmp_path)
    assert "1,000,000,000,000 bytes" in str(error)


def test_what_failed_is_given_back_to_the_cap_of_all_files(tmp_path: Path) -> None:
    def first_cut(asked: Asked) -> list[bytes]:
        return [head(content_length=SIZE), PICTURE[: SIZE // 2 if asked.path == "/cut" else SIZE]]

    with hostile(first_cut) as server, saver_to(tmp_path, server.url, max_total_bytes=SIZE) as saver:
        with pytest.raises(errors.ApimartDownloadError, match="broke off"):
            save(saver, f"{server.url}/cut", "cut")
        save(saver, f"{server.url}/whole", "whole")
        with pytest.raises(errors.ApimartResultRefusedError, match="max_total_bytes"):
            save(saver, f"{server.url}/second", "second")
    assert files_below(tmp_path) == ["whole.png"]


def test_a_body_shorter_than_announced_is_never_whole(tmp_path: Path) -> None:
    error = refused(lambda asked: [head(content_length=SIZE + 1), PICTURE], tmp_path)
    assert isinstance(error, errors.ApimartDownloadError)
    assert "broke off" in str(error)


def test_a_body_longer_than_announced_ends_where_it_was_announced(tmp_path: Path) -> None:
    forged = head(content_length=4) + b"evil"

    def longer(asked: Asked) -> list[bytes]:
        # At once: what arrives only after the connection was given back can't be told from the next reply.
        return [head(content_length=SIZE).replace(b"close", b"keep-alive") + PICTURE + forged]

    with hostile(longer) as server, saver_to(tmp_path, server.url) as saver:
        for name in ("a", "b", "c"):
            assert save(saver, f"{server.url}/{name}", name).sha256 == sha256(PICTURE)


@pytest.mark.parametrize("length", ["9" * 5000, "-5", "١٢", "1e9", " ", "0x10"])
def test_with_an_invalid_length_all_or_nothing_is_saved(tmp_path: Path, length: str) -> None:
    announced = head(content_length="?").replace(b"?", length.encode())
    with hostile(lambda asked: [announced, PICTURE]) as server, saver_to(tmp_path, server.url) as saver:
        try:
            save(saver, server.url, "x")
        except errors.ApimartDownloadError:
            assert files_below(tmp_path) == []
        else:
            assert (tmp_path / "x.png").read_bytes() == PICTURE


def test_two_lengths_are_no_length(tmp_path: Path) -> None:
    refused(lambda asked: [head(content_length=f"{SIZE}, 5"), PICTURE[:5]], tmp_path)


def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    def dripping(asked: Asked) -> Iterator[bytes | float]:
        yield head(content_length=SIZE)
        for byte in PICTURE:
            yield bytes([byte])
            yield 0.01

    error = refused(dripping, tmp_path, pace_seconds=0.1, pace_bytes=1000)
    assert "bytes of it arrived in" in str(error)


def test_a_head_that_drips_is_given_up(tmp_path: Path) -> None:
    def dripping(asked: Asked) -> Iterator[bytes | float]:
        for byte in head(content_length=SIZE):
            yield bytes([byte])
            yield 0.02

    assert "didn't answer" in str(refused(dripping, tmp_path, head_seconds=0.1))


def test_silence_is_given_up(tmp_path: Path) -> None:
    assert "didn't answer" in str(refused(lambda asked: [1.0], tmp_path, silent_seconds=0.1))


def test_an_endless_head_is_given_up(tmp_path: Path) -> None:
    def endless(asked: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        yield from repeat(b"X: " + b"y" * 60_000 + b"\r\n")

    assert "didn't answer" in str(refused(endless, tmp_path))


@pytest.mark.parametrize("answer", [b"", b"\x00\xff" * 100, b"HTTP/1.1 2x0 OK\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_what_is_no_http_is_given_up(tmp_path: Path, answer: bytes) -> None:
    assert "didn't answer" in str(refused(lambda asked: [answer], tmp_path))


@pytest.mark.parametrize("status", ["500 Oops", "503 Busy", "429 Slow down", "408 Late"])
def test_what_passes_is_tried_again(tmp_path: Path, status: str) -> None:
    def second_time(asked: Asked) -> list[bytes]:
        if asked.number:
            return [head(content_length=SIZE), PICTURE]
        return [head(status, content_length=0, retry_after=0.01)]

    with hostile(second_time) as server, saver_to(tmp_path, server.url) as saver:
        assert save(saver, server.url, "x").bytes == SIZE
        assert len(server.asked) == 2


@pytest.mark.parametrize("status", ["400 Bad", "405 No", "300 Choose", "304 Same", "204 Nothing", "418 Teapot"])
def test_what_does_not_pass_is_asked_for_once(tmp_path: Path, status: str) -> None:
    with hostile(lambda asked: [head(status)]) as server, saver_to(tmp_path, server.url) as saver:
        with pytest.raises(errors.ApimartDownloadError, match=status[:3]):
            save(saver, server.url, "x")
        assert len(server.asked) == 1


KINDS = {
    "html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "text/html"),
    "html with a picture": (b"<html><svg></svg></html>", "text/html"),
    "html behind a comment": (b"<!-- x --><body><svg>", "text/html"),
    "json": (b'{"error": "no"}', "application/json"),
    "xml": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "application/xml"),
    "text": (b"not found", "text/plain"),
    "text like a bitmap": (b"BMW: not found", "text/plain"),
    "text like a stream": (b"G" + b"o" * 187 + b"G" + b"o" * 300, "text/plain"),
    "script": (b"#!/bin/sh\nrm -rf /\n", "text/x-script"),
    "zip": (b"PK\x03\x04" + bytes(600), "application/zip"),
    "gzip": (gzip.compress(PICTURE), "application/gzip"),
    "pdf": (b"%PDF-1.7\n", "application/pdf"),
    "elf": (b"\x7fELF" + bytes(600), "application/x-executable"),
    "exe": (b"MZ\x90\x00" + bytes(600), "application/x-executable"),
    "nothing known": (b"\x01\x02\x03\x04", "unknown type"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_picture_is_refused_with_what_it_is(tmp_path: Path, kind: str) -> None:
    content, what = KINDS[kind]
    error = refused(whole(content, content_type="image/png"), tmp_path)
    assert what in str(error)
    assert "its Content-Type is image/png" in str(error)


def test_the_ending_comes_from_the_bytes(tmp_path: Path) -> None:
    with hostile(whole(PICTURE, content_type="text/html")) as server, saver_to(tmp_path, server.url) as saver:
        save(saver, f"{server.url}/a/b.exe?x=.sh", "x")
    assert files_below(tmp_path) == ["x.png"]


def test_an_exotic_type_is_what_its_host_says(tmp_path: Path) -> None:
    with (
        hostile(whole(b"\x01\x02" * 400, content_type="image/x-pcx; q=1")) as server,
        saver_to(tmp_path, server.url) as saver,
    ):
        assert save(saver, server.url, "x").media_type == "image/x-pcx"
    assert files_below(tmp_path) == ["x.pcx"]


def test_an_svg_is_a_picture(tmp_path: Path) -> None:
    drawing = b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- by us -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'
    with hostile(whole(drawing)) as server, saver_to(tmp_path, server.url) as saver:
        assert save(saver, server.url, "x").media_type == "image/svg+xml"
    assert files_below(tmp_path) == ["x.svg"]


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    assert "it is empty" in str(refused(whole(b""), tmp_path))


def test_a_gzip_bomb_is_cut_at_the_cap(tmp_path: Path) -> None:
    bomb = gzip.compress(PNG + bytes(50_000_000))
    assert len(bomb) < 60_000
    error = refused(whole(bomb, content_encoding="gzip"), tmp_path, max_file_bytes=1_000_000)
    assert "max_file_bytes allows 1,000,000" in str(error)


def test_what_was_packed_all_the_same_is_unpacked(tmp_path: Path) -> None:
    with (
        hostile(whole(gzip.compress(PICTURE), content_encoding="gzip")) as server,
        saver_to(tmp_path, server.url) as saver,
    ):
        assert save(saver, server.url, "x").sha256 == sha256(PICTURE)
    assert server.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("cut", [10, SIZE // 2, -1])
def test_what_was_packed_and_cut_is_never_whole(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(PICTURE)[:cut]
    error = refused(lambda asked: [head(content_encoding="gzip"), packed], tmp_path)
    assert "ended early" in str(error)


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "gzip, gzip", "aws-chunked", "utf-8", "none", "binary", "aws-chunked,gzip", "x"]
)
def test_a_stale_encoding_over_a_plain_picture_is_ignored(tmp_path: Path, encoding: str) -> None:
    with hostile(whole(PICTURE, content_encoding=encoding)) as server, saver_to(tmp_path, server.url) as saver:
        assert save(saver, server.url, "x").sha256 == sha256(PICTURE)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress"])
def test_an_encoding_that_was_not_asked_for_is_named(tmp_path: Path, encoding: str) -> None:
    assert encoding in str(refused(whole(b"\x01\x02" * 900, content_encoding=encoding), tmp_path))


def _raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


MEMBERS = gzip.compress(PICTURE[:7000]) + gzip.compress(PICTURE[7000:9000]) + gzip.compress(PICTURE[9000:])
PACKED = {
    "several members": (MEMBERS, "gzip"),
    "filled up with zeros": (MEMBERS + bytes(500), "gzip"),
    "zlib": (zlib.compress(PICTURE), "deflate"),
    "raw deflate": (_raw_deflate(PICTURE), "deflate"),
    "gzip as deflate": (gzip.compress(PICTURE), "deflate"),
}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("blocks", [1, 40])
def test_every_packing_is_unpacked_whole(tmp_path: Path, kind: str, blocks: int) -> None:
    packed, encoding = PACKED[kind]
    step = -(-len(packed) // blocks)

    def answer(asked: Asked) -> Iterator[bytes | float]:
        yield head(content_length=len(packed), content_encoding=encoding)
        for at in range(0, len(packed), step):
            yield packed[at : at + step]
            yield 0.001

    with hostile(answer) as server, saver_to(tmp_path, server.url) as saver:
        assert save(saver, server.url, "x").sha256 == sha256(PICTURE)


@pytest.mark.parametrize("location", ["/图片.png", "/bild-ü.png", "/%E5%9B%BE.png"])
def test_a_redirect_to_raw_letters_is_followed(tmp_path: Path, location: str) -> None:
    raw = location.encode()

    def answer(asked: Asked) -> list[bytes]:
        if asked.path == "/":
            return [b"HTTP/1.1 302 Found\r\nLocation: " + raw + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
        return [head(content_length=SIZE), PICTURE] if unquote(asked.path) == unquote(location) else [head("404 No")]

    with hostile(answer) as server, saver_to(tmp_path, server.url) as saver:
        assert save(saver, f"{server.url}/", "x").bytes == SIZE


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    with hostile(whole(PICTURE, set_cookie="a=b; Path=/")) as server, saver_to(tmp_path, server.url) as saver:
        for name in ("a", "b"):
            save(saver, server.url, name)
    assert "cookie" not in server.text.lower()


def test_no_netrc_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with hostile(whole(PICTURE)) as server, saver_to(tmp_path / "there", server.url) as saver:
        save(saver, server.url, "x")
    assert "authorization" not in server.text.lower()


def test_closing_stops_what_is_being_fetched(tmp_path: Path) -> None:
    begun, closed = Event(), Event()

    def waiting(asked: Asked) -> Iterator[bytes]:
        yield head(content_length=SIZE) + PICTURE[:1000]
        begun.set()
        closed.wait()
        yield PICTURE[1000:]

    with hostile(waiting) as server, saver_to(tmp_path, server.url) as saver, ThreadPoolExecutor() as pool:
        saving = pool.submit(save, saver, server.url, "x")
        begun.wait()
        saver.close()
        closed.set()
        assert isinstance(saving.exception(), errors.ApimartDownloadError)
    assert files_below(tmp_path) == []
