"""Proxies, authorities and unusual headers: the same result over both transports and the downloads."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Output, OutputKind
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes
from airflow_provider_apimart.api.submission import submit
from airflow_provider_apimart.api.waiting import Wait, read_status_with_retries
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.results.download.client import network_of
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.saver import ResultSaver, SaveRequest
from tests.https import https_server, new_certificate
from tests.results.hostile import picture

from .support import PAYLOAD, Holder, http, quick_hook, wire

pytestmark = pytest.mark.slow

ONCE = RetryPolicy(max_requests=1)
ACCEPTED = b'{"data":[{"task_id":"task_1"}]}'
DONE = b'{"data":{"id":"task_1","status":"completed","result":{"images":[{"url":"https://x/a.png"}]}}}'
PICTURE = picture(4000, 1)


def submitted(hook: ApimartHook, holder: Holder) -> str | None:
    submission = holder(hook, submit(Modality.IMAGE, PAYLOAD, "key-1", ONCE))
    generation_id: str | None = submission.generation.generation_id
    return generation_id


def read(hook: ApimartHook, holder: Holder) -> Any:
    wait = Wait("task_1", started_at=0.0, modality=Modality.IMAGE)
    return holder(hook, read_status_with_retries(wait, StatusRoutes(), ONCE))


def saved(hook: ApimartHook, url: str, folder: Path) -> bytes:
    """Return the content of a result that was downloaded as transfers and batches do."""
    network = network_of(hook.settings, allow_private_hosts=True)
    with ResultSaver(folder.as_uri(), network=network, limits=Limits(policy=ONCE)) as saver:
        file = saver.save(SaveRequest(Output(url, OutputKind.IMAGE), "a", "a"))
    return Path(file.uri.removeprefix("file://")).read_bytes()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_proxy_with_or_without_a_scheme_is_used_the_same(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, name: str, scheme: str
) -> None:
    with wire(http("200 OK", ACCEPTED), http("200 OK", DONE), http("200 OK", PICTURE)) as proxy:
        monkeypatch.setenv(name, f"{scheme}127.0.0.1:{proxy.port}")
        hook = quick_hook(monkeypatch, "http://apimart.invalid")
        assert submitted(hook, holder) == "task_1"
        assert read(hook, holder).urls == ["https://x/a.png"]
        assert saved(hook, "http://results.invalid/a.png", tmp_path) == PICTURE
    lines = [request.partition(b"\r\n")[0].decode() for request in proxy.received]
    assert lines[0].startswith("POST http://apimart.invalid/v1/images/generations ")
    assert lines[1].startswith("GET http://apimart.invalid/v1/tasks/task_1")
    assert lines[2].startswith("GET http://results.invalid/a.png ")


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "*", "other.example, 127.0.0.1"])
def test_hosts_of_no_proxy_are_reached_directly(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, no_proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with wire(http("200 OK", ACCEPTED), http("200 OK", DONE), http("200 OK", PICTURE)) as server:
        hook = quick_hook(monkeypatch, server.url)
        assert submitted(hook, holder) == "task_1"
        assert read(hook, holder).urls == ["https://x/a.png"]
        assert saved(hook, f"{server.url}/a.png", tmp_path) == PICTURE


@pytest.mark.parametrize("proxy", ["socks5://u:s3cret@127.0.0.1:1080", "socks5h://127.0.0.1:1080", "socks4://p"])
def test_a_socks_proxy_is_one_error_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with wire(http("200 OK", ACCEPTED)) as server:
        hook = quick_hook(monkeypatch, server.url)
        for use in (
            lambda: submitted(hook, holder),
            lambda: read(hook, holder),
            lambda: saved(hook, f"{server.url}/a.png", tmp_path),
        ):
            with pytest.raises(errors.ApimartConfigurationError) as raised:
                use()
            assert str(raised.value).startswith("The proxy in the environment variable all_proxy names a SOCKS proxy")
            assert "set it to an HTTP proxy" in str(raised.value)
            assert "s3cret" not in str(raised.value)
    assert server.received == []


HEADS = {
    "a header of 9,000 bytes": f"X-Long: {'x' * 9_000}\r\n",
    "a header of 60,000 bytes": f"X-Long: {'x' * 60_000}\r\n",
    "a name of 9,000 bytes": f"X-{'x' * 9_000}: y\r\n",
    "ninety headers": "".join(f"X-{number}: y\r\n" for number in range(90)),
    "a repeated length": "Content-Length: {length}\r\n",
    "a length three times": "content-length:{length} \r\nX-A: b\r\nCONTENT-LENGTH: {length}\r\n",
    "an informational reply": "",
}


@pytest.mark.parametrize("pieces", [None, 0.0])
@pytest.mark.parametrize("head", HEADS)
def test_an_odd_head_is_read_the_same(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, head: str, pieces: float | None
) -> None:
    if pieces is not None and len(HEADS[head]) > 10_000:
        pytest.skip("as many pieces as bytes take too long")
    before = b"HTTP/1.1 100 Continue\r\n\r\n" if "informational" in head else b""
    answers = [
        before + http("200 OK", body, headers=HEADS[head].replace("{length}", str(len(body))))
        for body in (ACCEPTED, DONE, PICTURE)
    ]
    with wire(*answers, pieces=pieces) as server:
        hook = quick_hook(monkeypatch, server.url)
        assert submitted(hook, holder) == "task_1"
        assert read(hook, holder).urls == ["https://x/a.png"]
        if pieces is None:
            assert saved(hook, f"{server.url}/a.png", tmp_path) == PICTURE
    assert len(server.received) == (3 if pieces is None else 2)


@pytest.mark.parametrize("other", [5, 0, 10_000])
def test_lengths_that_differ_are_one_error(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, other: int
) -> None:
    answers = [http("200 OK", body, headers=f"Content-Length: {other}\r\n") for body in (ACCEPTED, DONE, PICTURE)]
    words = "Content-Length contained multiple unmatching values"
    with wire(*answers) as server:
        hook = quick_hook(monkeypatch, server.url)
        with pytest.raises(errors.ApimartUnknownOutcomeError, match=words):
            submitted(hook, holder)
        with pytest.raises(errors.ApimartStatusUnreadableError, match=words):
            read(hook, holder)
        with pytest.raises(errors.ApimartDownloadError, match=words):
            saved(hook, f"{server.url}/a.png", tmp_path)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "X-GZIP"])
def test_the_older_name_of_gzip_is_read_the_same(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, encoding: str
) -> None:
    answers = [
        http("200 OK", gzip.compress(body), headers=f"Content-Encoding: {encoding}\r\n")
        for body in (ACCEPTED, DONE, PICTURE)
    ]
    with wire(*answers) as server:
        hook = quick_hook(monkeypatch, server.url)
        assert submitted(hook, holder) == "task_1"
        assert read(hook, holder).urls == ["https://x/a.png"]
        assert saved(hook, f"{server.url}/a.png", tmp_path) == PICTURE


def answer(path: str) -> bytes:
    """Return the reply of a service that has a result for every submit."""
    if path.endswith(".png"):
        return PICTURE
    return ACCEPTED if path.endswith("/generations") else DONE


def as_directory(authority: Path) -> Path:
    """Return a directory of authorities as distributions have it."""
    folder = authority.parent / "certs"
    folder.mkdir()
    shutil.copy(authority, folder)
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl prepares directories of certificate authorities")
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "verify"])
@pytest.mark.parametrize("form", ["file", "directory"])
def test_authorities_are_trusted_by_both(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path, variable: str, form: str
) -> None:
    certificate = new_certificate(tmp_path / "tls")
    path = certificate.authority if form == "file" else as_directory(certificate.authority)
    if variable != "verify":
        monkeypatch.setenv(variable, str(path))
    with https_server(certificate, answer) as url:
        hook = quick_hook(monkeypatch, url, extra={"verify": str(path)} if variable == "verify" else None)
        assert submitted(hook, holder) == "task_1"
        assert read(hook, holder).urls == ["https://x/a.png"]
        assert saved(hook, f"{url}/a.png", tmp_path) == PICTURE


def test_an_untrusted_authority_is_refused_by_both(
    monkeypatch: pytest.MonkeyPatch, holder: Holder, tmp_path: Path
) -> None:
    with https_server(new_certificate(tmp_path / "tls"), answer) as url:
        hook = quick_hook(monkeypatch, url)
        with pytest.raises(errors.ApimartConnectionError, match="certificate"):
            submitted(hook, holder)
        with pytest.raises(errors.ApimartDownloadError, match="certificate"):
            saved(hook, f"{url}/a.png", tmp_path)
