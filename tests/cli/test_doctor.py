"""The doctor against the sandbox and small servers, in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.cli import diagnosis
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.airflow_versions import lacks, reason
from tests.hooks.support import http, quick_hook, wire
from tests.https import https_server, new_certificate

if lacks("command line of providers"):
    pytest.skip(reason("command line of providers"), allow_module_level=True)

from airflow_provider_apimart.cli.doctor import examine

ANSWERS = {
    "/v1/balance": {"success": True, "remain_balance": 5.5},
    "/v1/models": {"data": [{"id": "m", "category": "image"}]},
    "/api/pricing/model": {"success": True, "data": {"model_name": "m", "paid_price": 0.1}},
}
SUBJECTS = ["connection", "proxy", "certificates", "key", "balance", "clock", "models", "prices"]
SECRETS = {"X-Gateway": "Token hdr-s3cr3t", "Cookie": "c00k1e-s3cr3t"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def examined(monkeypatch: pytest.MonkeyPatch, host: str, **connection: Any) -> dict[str, tuple[bool, str]]:
    hook = quick_hook(monkeypatch, host, **connection)
    return {found.subject: (found.is_well, found.sentence) for found in examine(hook)}


def wrong(found: Mapping[str, tuple[bool, str]]) -> list[str]:
    return [subject for subject, (is_well, _) in found.items() if not is_well]


def test_a_connection_that_is_well(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, sandbox.base_url)
    assert list(found) == SUBJECTS
    assert wrong(found) == []
    assert found["connection"][1] == f"The connection 'apimart_default' leads to {sandbox.base_url}."
    assert found["balance"][1] == "$100.00 are left on the API key."
    assert found["models"][1].startswith("The API key may use 20 models (13 image, ")
    assert [request.route for request in sandbox.requests] == ["balance", "models", "pricing"]
    assert sandbox.accepted == 0


def test_the_price_route_gets_neither_the_key_nor_the_headers(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong(examined(monkeypatch, sandbox.base_url, extra={"headers": SECRETS})) == []
    *authorised, public = sandbox.requests
    assert all("s3cr3t" in str(dict(request.headers)) for request in authorised)
    assert public.route == "pricing"
    assert {"authorization", "x-gateway", "cookie"} & {name.lower() for name in public.headers} == set()
    assert "s3cr3t" not in str(dict(public.headers))
    assert sandbox.api_key not in str(dict(public.headers)) + public.path


@pytest.mark.parametrize(
    ("password", "subjects", "sentence"),
    [
        ("sk-wrong-key-123456", ["key", "balance", "models", "prices"], "APIMart does not accept the API key"),
        ("sk-sandbox-empty", ["balance"], "Nothing is left on the API key"),
        ("sk-sandbox-unlimited", [], "no spending limit"),
        ("sk-sandbox-restricted", [], "The API key may use 1 model (1 image)"),
    ],
)
def test_keys(
    password: str, subjects: list[str], sentence: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examined(monkeypatch, sandbox.base_url, password=password)
    assert [subject for subject in wrong(found) if subject in subjects] == subjects
    assert any(sentence in told for _, told in found.values())
    assert password not in str(found)


@pytest.mark.parametrize(
    ("fault", "on", "subjects"),
    [
        ("html_error", "balance", ["key", "balance"]),
        ("success_false", "balance", ["balance"]),
        ("forbidden", "balance", ["key", "balance"]),
        ("reset", "balance", ["key", "balance"]),
        ("html_error", "models", ["models", "prices"]),
        ("garbage_body", "models", ["models", "prices"]),
        ("html_error", "pricing", ["prices"]),
        ("success_false", "pricing", ["prices"]),
        ("reset", "pricing", ["prices"]),
    ],
)
def test_each_problem_is_reported_where_it_belongs(
    fault: str, on: str, subjects: list[str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.inject(Fault(fault, on=on, times=10))
    found = examined(monkeypatch, sandbox.base_url)
    assert wrong(found) == subjects
    assert list(found) == SUBJECTS
    assert sum(request.route == on for request in sandbox.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "401 Unauthorized", "403 Forbidden", "500 No"])
@pytest.mark.parametrize("body", [b"<html>%s</html>", b'{"error": {"message": "no %s", "code": "%s"}}', b"%s"])
def test_a_service_that_repeats_the_key_leaks_nothing(
    status: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-very-secret-0123456789"
    echo = http(status, body.replace(b"%s", secret.encode()), headers=f"Server: {secret}\r\n")
    with wire(echo) as server:
        found = examined(monkeypatch, server.url, password=secret)
    assert secret in server.text
    assert secret not in str(found)
    assert "models" in wrong(found)


def test_a_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(monkeypatch, "http://127.0.0.1:1")
    assert wrong(found) == ["key", "balance", "models", "prices"]
    assert "couldn't be reached at http://127.0.0.1:1" in found["key"][1]


@pytest.mark.parametrize(
    ("connection", "subject", "sentence"),
    [
        ({"password": ""}, "connection", "invalid password: it is empty"),
        ({"extra": {"timeout": "soon"}}, "connection", "extra.timeout"),
        ({"extra": {"proxy": "socks5://p:1"}}, "connection", "SOCKS"),
    ],
)
def test_a_connection_that_cannot_be_used(
    connection: dict[str, Any], subject: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examined(monkeypatch, "http://127.0.0.1:1", **connection)
    assert list(found) == wrong(found) == [subject]
    assert sentence in found[subject][1]


def test_a_connection_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = quick_hook(monkeypatch, "http://127.0.0.1:1")
    hook.apimart_conn_id = "nobody"
    (found,) = examine(hook)
    assert (found.is_well, "isn't defined" in found.sentence) == (False, True)


def test_a_proxy_is_named_without_its_password(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:pr0xy-s3cr3t@{sandbox.base_url.removeprefix('http://')}")
    found = examined(monkeypatch, "http://api.example.com")
    assert found["proxy"] == (
        True,
        f"The proxy {sandbox.base_url.removeprefix('http://')} is used, as the environment says.",
    )
    assert "certificates" in wrong(found)
    assert "sent unencrypted: api.example.com" in found["certificates"][1]
    assert "pr0xy-s3cr3t" not in str(found)


def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://p:1")
    found = examined(monkeypatch, "http://127.0.0.1:1")
    assert list(found) == ["connection", "proxy"]
    assert wrong(found) == ["proxy"]


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = new_certificate(tmp_path / "tls")
    with https_server(certificate, lambda path: json.dumps(ANSWERS[path.partition("?")[0]]).encode()) as url:
        trusted = examined(monkeypatch, url, extra={"verify": str(certificate.authority)})
        refused = examined(monkeypatch, url)
        unchecked = examined(monkeypatch, url, extra={"verify": False})
    host, authority = url.removeprefix("https://"), certificate.authority
    assert trusted["certificates"] == (
        True,
        f"The certificate of {host} is valid, checked with {authority}.",
    )
    assert wrong(trusted) == []
    assert wrong(refused) == ["certificates", "key", "balance", "models", "prices"]
    assert refused["certificates"][1].startswith(f"The certificate of {host} is refused: ")
    assert wrong(unchecked) == ["certificates"]


def test_authorities_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    found = examined(monkeypatch, "https://127.0.0.1:1", extra={"verify": str(tmp_path / "ca.pem")})
    assert list(found) == ["connection", "proxy", "certificates"]
    assert wrong(found) == ["certificates"]


NOW = 1_795_000_000.0


def date(skew: float) -> Reply:
    told = format_datetime(datetime.fromtimestamp(NOW - skew, UTC), usegmt=True)
    return Reply(200, {"date": told}, b"")


@pytest.mark.parametrize(
    ("reply", "is_well", "said"),
    [
        (date(0), True, "agrees"),
        (date(59), True, "agrees"),
        (date(-59), True, "agrees"),
        (date(120), False, "This machine's clock is 119 seconds ahead of APIMart's."),
        (date(-7200), False, "This machine's clock is 7,199 seconds behind APIMart's."),
        (Reply(200, {}, b""), True, "not known"),
        (Reply(200, {"date": "yesterday"}, b""), True, "not known"),
        (Reply(200, {"date": "Mon, 01 Jan 99999999 00:00:00 GMT"}, b""), True, "not known"),
        (None, True, "not known"),
    ],
)
def test_the_clock(reply: Reply | None, is_well: bool, said: str) -> None:
    found = diagnosis.clock(reply, NOW, NOW + 1)
    assert (found.is_well, said in found.sentence) == (is_well, True), found.sentence


def test_a_key_that_may_use_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    balance = http("200 OK", json.dumps({"success": True, "remain_balance": 5}).encode())
    with wire(balance, http("200 OK", b'{"data": []}')) as server:
        found = examined(monkeypatch, server.url)
    assert found["models"] == (False, "The API key may use no model.")
    assert found["prices"] == (False, "The price route was not asked, since no model is known.")
    assert len(server.received) == 2
