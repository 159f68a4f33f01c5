from __future__ import annotations

import socket
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import fsspec
import pytest
import requests
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.upload import upload
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.hooks.image_file import image_file
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.object_storage import attach_anew

from .support import PICTURE, QUICK, Holder, http, quick_hook

LIMIT = 20 * 1024 * 1024


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "fox.png"
    path.write_bytes(PICTURE)
    return path


def test_what_was_uploaded_is_served(picture: Path, sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> None:
    uploaded = holder(hook, upload(image_file(str(picture)), QUICK))
    assert requests.get(uploaded.url, timeout=5).content == PICTURE
    assert (uploaded.filename, uploaded.content_type, uploaded.bytes) == ("fox.png", "image/png", len(PICTURE))
    assert (uploaded.expires_at - uploaded.created_at).total_seconds() == 72 * 3600
    assert uploaded.to_xcom()["url"] == uploaded.url


@pytest.mark.parametrize("form", [str, Path, lambda path: path.as_uri(), lambda path: ObjectStoragePath(path.as_uri())])
def test_every_way_to_name_a_local_file(form: Any, picture: Path, sandbox: Sandbox, hook: ApimartHook) -> None:
    uploaded = hook.upload_image(form(picture))
    assert requests.get(uploaded.url, timeout=5).content == PICTURE


def test_a_file_in_an_object_storage(sandbox: Sandbox, hook: ApimartHook) -> None:
    attach_anew("memory", fsspec.filesystem("memory"))
    path = ObjectStoragePath("memory://bucket/folder/fox.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)
    assert hook.upload_image("memory://bucket/folder/fox.png").filename == "fox.png"
    assert requests.get(hook.upload_image(path).url, timeout=5).content == PICTURE


def test_a_missing_file_in_an_object_storage_is_named(sandbox: Sandbox, hook: ApimartHook) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match=r"memory:///?bucket/none\.png"):
        hook.upload_image("memory://bucket/none.png")
    assert sandbox.requests == ()


REFUSED: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "no image"),
    "empty": (b"", "is empty"),
    "pdf": (b"%PDF-1.7 ...", "application/pdf"),
    "html": (b"<!DOCTYPE html><html>404", "text/html"),
    "bmp": (b"BM" + bytes(100), "image/bmp"),
    "text": (b"hello", "text/plain"),
    "unknown": (b"\x01\x02\x03", "no known type of image"),
    "mp4": (b"\x00\x00\x00\x18ftypmp42" + bytes(100), "video/mp4"),
    "too large": (PICTURE + bytes(LIMIT + 1 - len(PICTURE)), "20,971,521"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_right_is_refused_by_name_before_anything_is_sent(
    what: str, tmp_path: Path, sandbox: Sandbox, hook: ApimartHook
) -> None:
    content, found = REFUSED[what]
    path = tmp_path / "named.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ApimartInvalidRequestError) as raised:
        hook.upload_image(str(path))
    assert str(path) in str(raised.value)
    assert found in str(raised.value)
    if what not in ("missing", "empty", "too large"):
        assert "image/jpeg, image/png, image/webp, image/gif" in str(raised.value)
    if what == "too large":
        assert "20,971,520" in str(raised.value)
    assert sandbox.requests == ()


def test_a_directory_is_refused_by_name(tmp_path: Path, sandbox: Sandbox, hook: ApimartHook) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match="directory") as raised:
        hook.upload_image(str(tmp_path))
    assert str(tmp_path) in str(raised.value)
    assert sandbox.requests == ()


def test_the_largest_file_is_streamed(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PICTURE + bytes(LIMIT - len(PICTURE)))
    counted: list[int] = []
    # The sandbox shares this process and keeps what it gets, so a server that only counts stands in for it.
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            got = len(head.partition(b"\r\n\r\n")[2])
            buffer = bytearray(65_536)
            while got < length:
                got += connection.recv_into(buffer)
            counted.append(got)
            connection.sendall(http("200 OK", b'{"url":"https://x/large.png"}'))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    hook = quick_hook(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
    image = image_file(str(path))
    tracemalloc.start()
    try:
        uploaded = holder(hook, upload(image, QUICK))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        listening.close()
    thread.join(5)
    assert uploaded.url == "https://x/large.png"
    assert counted[0] > LIMIT
    assert peak < 8 * 1024 * 1024


def test_exactly_the_limit_is_taken_by_the_service(tmp_path: Path, sandbox: Sandbox, hook: ApimartHook) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PICTURE + bytes(LIMIT - len(PICTURE)))
    assert hook.upload_image(path).bytes == LIMIT


@pytest.mark.parametrize(
    "name", ['a"b.png', "füchse 狐🦊.png", "a;b='c'.png", "50%.png", "no_suffix", "a#b?c.png", "back\\slash.png"]
)
def test_a_strange_file_name_arrives(
    name: str, tmp_path: Path, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    path = tmp_path / name
    path.write_bytes(PICTURE)
    uploaded = holder(hook, upload(image_file(str(path)), QUICK))
    assert uploaded.bytes == len(PICTURE)
    assert uploaded.content_type == "image/png"
    assert len(sandbox.requests) == 1


PASSES: dict[str, dict[str, Any]] = {
    "429": {"kind": "rate_limited", "retry_after": 0.0},
    "500": {"kind": "upload_failed"},
    "502": {"kind": "bad_gateway"},
    "503": {"kind": "unavailable", "retry_after": 0.0},
    "504": {"kind": "gateway_timeout"},
    "html page": {"kind": "html_error"},
    "closed before reading": {"kind": "closed_before_reading"},
    "lost answer": {"kind": "lost_answer"},
    "reset": {"kind": "reset"},
    "truncated": {"kind": "truncated"},
    "garbage": {"kind": "garbage"},
    "garbage body": {"kind": "garbage_body"},
    "error inside a 200": {"kind": "error_in_200"},
}


@pytest.mark.parametrize("row", PASSES)
def test_what_passes_is_uploaded_again(
    row: str, picture: Path, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    sandbox.inject(Fault(**PASSES[row], on="upload", times=2))
    uploaded = holder(hook, upload(image_file(picture), QUICK))
    assert requests.get(uploaded.url, timeout=5).content == PICTURE
    assert len([request for request in sandbox.requests if request.route == "upload"]) == 3


FINAL: dict[str, tuple[str, type[errors.ApimartError]]] = {
    "400 missing": ("file_missing", errors.ApimartInvalidRequestError),
    "400 type": ("unsupported_image", errors.ApimartInvalidRequestError),
    "413": ("too_large", errors.ApimartInvalidRequestError),
    "401": ("unauthorized", errors.ApimartAuthenticationError),
    "403": ("forbidden", errors.ApimartPermissionError),
    "402": ("insufficient_balance", errors.ApimartBalanceError),
    "redirect": ("redirect", errors.ApimartConfigurationError),
}


@pytest.mark.parametrize("row", FINAL)
def test_a_refused_upload_is_not_repeated(
    row: str, picture: Path, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    fault, kind = FINAL[row]
    sandbox.inject(Fault(fault, on="upload", times=100))
    with pytest.raises(errors.ApimartError) as raised:
        holder(hook, upload(image_file(picture), QUICK))
    assert type(raised.value) is kind
    assert len(sandbox.requests) == 1
