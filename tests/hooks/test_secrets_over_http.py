from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.balance import balance
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import ask, retrying
from airflow_provider_apimart.api.http_messages import Request
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.submission import submit
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.faults import KINDS

from .support import PAYLOAD, QUICK, Holder, everything_said, http, in_trigger, in_worker, quick_hook, wire

SECRET = "sk-very-secret-0123456789"
ONCE = RetryPolicy(max_requests=1, rate_limited_seconds=-1)


def submitted(hook: ApimartHook, holder: Holder) -> Any:
    return holder(hook, submit(Modality.IMAGE, PAYLOAD, "key-1", ONCE))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("route", ["submit", "balance"])
def test_a_redirect_is_refused_and_its_target_never_asked(
    status: int, route: str, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    paths = {"submit": "/v1/images/generations", "balance": "/v1/balance"}
    with wire(http("200 OK", b'{"id":"task_1","remain_balance":1}')) as target:
        sandbox.inject(Fault("redirect", on=route, status=status, location=f"{target.url}{paths[route]}", times=100))
        with pytest.raises(errors.ApimartConfigurationError, match=f"set the connection's host to {target.url}"):
            _ = submitted(hook, holder) if route == "submit" else holder(hook, retrying(balance, QUICK))
    assert target.received == []
    assert len(sandbox.requests) == 1
    assert sandbox.accepted == 0


def test_the_session_gives_the_key_to_no_redirect_target(sandbox: Sandbox, hook: ApimartHook) -> None:
    with wire(http("200 OK", b"{}")) as target:
        sandbox.inject(Fault("redirect", on="models", location=f"{target.url}/x"))
        hook.get_conn().get(f"{sandbox.base_url}/v1/models", timeout=5)
    assert "sk-sandbox-key" in sandbox.requests[0].headers["Authorization"]
    assert len(target.received) == 1
    assert "authorization" not in target.text.lower()


def test_a_public_route_gets_neither_the_key_nor_the_headers(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    headers = {"X-Gateway": "hdr-s3cr3t", "Cookie": "c00k1e-s3cr3t"}
    with wire(http("200 OK", b"{}")) as server:
        secretive = quick_hook(monkeypatch, server.url, password=SECRET, extra={"headers": headers})
        holder(secretive, ask(Request("GET", "/open", authorised=False)))
        holder(secretive, ask(Request("GET", "/closed")))
    public, authorised = (request.decode("latin-1").lower() for request in server.received)
    for told in ("authorization", SECRET, "x-gateway", "cookie", "s3cr3t"):
        assert told not in public
        assert told in authorised
    assert "user-agent: airflow-provider-apimart" in public


def test_file_hosts_never_see_the_key(tmp_path: Path, sandbox: Sandbox, hook: ApimartHook) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with wire(http("200 OK", b"picture")) as files:
        hook.get_conn().get(f"{files.url}/f/1.png", timeout=5)
    assert "authorization" not in files.text.lower()
    requests.get(hook.upload_image(path).url, timeout=5)
    assert len(sandbox.file_requests) == 1
    assert "Authorization" not in sandbox.file_requests[0].headers


def test_a_netrc_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text(
            "machine 127.0.0.1 login thief password stolen\ndefault login thief password stolen\n"
        )
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert submitted(hook, holder).generation.generation_id
    assert [request.headers["Authorization"] for request in sandbox.requests] == ["Bearer sk-sandbox-key"]


LEAKS = [
    ("401 no", b'{"error":{"message":"invalid key %s","code":"%s"},"request_id":"%s"}' % ((SECRET.encode(),) * 3)),
    ("500 no", f"<html>Authorization: Bearer {SECRET}</html>".encode()),
    ("200 OK", b'{"error":{"message":"%s"}}' % SECRET.encode()),
    ("200 OK", b'{"success":false,"message":"%s"}' % SECRET.encode()),
    ("200 OK", SECRET.encode()),
    ("403 no", SECRET.encode() * 50),
]


@pytest.mark.parametrize(("status", "body"), LEAKS)
@pytest.mark.parametrize("route", ["submit", "balance"])
def test_a_service_that_repeats_the_key_leaks_nothing(
    status: str, body: bytes, route: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(http(status, body)) as server:
        hook = quick_hook(monkeypatch, server.url, password=SECRET)
        with pytest.raises(errors.ApimartError) as raised:
            _ = submitted(hook, holder) if route == "submit" else holder(hook, balance())
    assert SECRET in server.text
    assert SECRET not in everything_said(raised.value)


def test_a_service_that_repeats_the_key_in_a_header_leaks_nothing(
    monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    reply = http("400 no", b"{}", headers=f"X-Oneapi-Request-Id: {SECRET}\r\n")
    with wire(reply) as server, pytest.raises(errors.ApimartError) as raised:
        submitted(quick_hook(monkeypatch, server.url, password=SECRET), holder)
    assert SECRET not in everything_said(raised.value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "delayed"])
@pytest.mark.parametrize("route", ["submit", "balance"])
def test_no_failure_shows_the_key(
    kind: str, route: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    sandbox.inject(Fault(kind, on=route, times=100, seconds=0.2, size=33 * 1024 * 1024 + 65_536))
    hook = quick_hook(monkeypatch, sandbox.base_url, extra={"timeout": 0.6 if kind == "oversized" else 0.15})
    with pytest.raises(errors.ApimartError) as raised:
        _ = submitted(hook, holder) if route == "submit" else holder(hook, balance())
    assert "sk-sandbox-key" in sandbox.requests[0].headers["Authorization"]
    assert "sk-sandbox-key" not in everything_said(raised.value)


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://no-such-host.invalid"])
def test_no_failure_to_connect_shows_the_key(host: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with pytest.raises(errors.ApimartConnectionError) as raised:
        submitted(quick_hook(monkeypatch, host, password=SECRET), holder)
    assert SECRET not in everything_said(raised.value)


def proxied(monkeypatch: pytest.MonkeyPatch, proxy: str, where: str, host: str) -> ApimartHook:
    if where == "extra":
        return quick_hook(monkeypatch, host, extra={"proxy": proxy})
    monkeypatch.setenv(where, proxy)
    return quick_hook(monkeypatch, host)


@pytest.mark.parametrize("where", ["extra", "http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_used(where: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(http("200 OK", b'{"id":"task_1"}')) as proxy:
        hook = proxied(monkeypatch, proxy.url, where, "http://apimart.invalid")
        assert submitted(hook, holder).generation.generation_id == "task_1"
    assert proxy.text.startswith("POST http://apimart.invalid/v1/images/generations HTTP/1.1")
    assert "Bearer sk-sandbox-key" in proxy.text


@pytest.mark.parametrize("where", ["extra", "https_proxy"])
def test_a_proxy_of_an_https_host_never_sees_the_key(
    where: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(http("407 Proxy Authentication Required")) as proxy:
        hook = proxied(monkeypatch, proxy.url.replace("//", "//user:pr0xy-pass@"), where, "https://apimart.invalid")
        with pytest.raises(errors.ApimartConnectionError):
            submitted(hook, holder)
    assert proxy.text.startswith("CONNECT apimart.invalid:443")
    assert "proxy-authorization" in proxy.text.lower()
    assert "sk-sandbox-key" not in proxy.text


def said_of_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> str:
    with wire(http("407 Proxy Authentication Required")) as proxy:
        hook = proxied(monkeypatch, proxy.url.replace("//", "//user:pr0xy-pass@"), "extra", "https://apimart.invalid")
        with pytest.raises(errors.ApimartConnectionError) as raised:
            submitted(hook, holder)
    return everything_said(raised.value)


def test_a_proxy_that_refuses_shows_no_password_in_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pr0xy-pass" not in said_of_a_proxy_that_refuses(monkeypatch, in_worker)


def test_a_proxy_that_refuses_shows_no_password_in_the_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "pr0xy-pass" not in said_of_a_proxy_that_refuses(monkeypatch, in_trigger)


def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, holder: Holder) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with wire(http("500 no")) as proxy:
        assert submitted(
            proxied(monkeypatch, proxy.url, "http_proxy", sandbox.base_url), holder
        ).generation.generation_id
    assert proxy.received == []


def test_the_connection_s_proxy_comes_before_the_environment_s(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")
    with wire(http("200 OK", b'{"id":"task_1"}')) as proxy:
        submitted(proxied(monkeypatch, proxy.url, "extra", "http://apimart.invalid"), holder)
    assert len(proxy.received) == 1


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:pr0xy-pass@127.0.0.1:1",
        "http://user:pr0xy-pass@no-such-proxy.invalid:1",
        "http://user:a@pr0xy-pass@127.0.0.1:1",
    ],
)
def test_a_proxy_that_cannot_be_reached_is_no_unknown_outcome_and_shows_no_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with pytest.raises(errors.ApimartConnectionError) as raised:
        submitted(proxied(monkeypatch, proxy, "extra", "http://apimart.invalid"), holder)
    assert "pr0xy-pass" not in everything_said(raised.value)


@pytest.mark.parametrize("where", ["extra", "http_proxy"])
@pytest.mark.parametrize("proxy", ["http://user:pr0xy-pass@proxy:port", "http://user:pr0xy-pass@[proxy"])
def test_a_malformed_proxy_shows_no_password(
    proxy: str, where: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    hook = proxied(monkeypatch, proxy, where, "http://apimart.invalid")
    with pytest.raises(errors.ApimartError) as raised:
        submitted(hook, holder)
    assert "pr0xy-pass" not in everything_said(raised.value)
