from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from airflow_provider_apimart.api.http_messages import RequestKind
from airflow_provider_apimart.api.requests_transport import authenticated_session
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.exceptions import ApimartArgumentError, ApimartConfigurationError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.hooks.connection import settings_from_connection

from .support import everything_said, quick_hook

KEY = "sk-0123456789secret"


def settings(extra: object = None, **fields: Any) -> ClientSettings:
    written = extra if isinstance(extra, str | None) else json.dumps(extra)
    known: Mapping[str, Any] = {
        "conn_id": "my_apimart",
        "host": None,
        "port": None,
        "schema": None,
        "login": None,
        "password": KEY,
    }
    return settings_from_connection(SimpleNamespace(**{**known, "extra": written, **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({}, "https://api.apimart.ai"),
        ({"host": ""}, "https://api.apimart.ai"),
        ({"host": "api.apib.ai"}, "https://api.apib.ai"),
        ({"host": "https://api.aiuxu.com/v1/"}, "https://api.aiuxu.com"),
        ({"host": "localhost", "port": 8080, "schema": "http"}, "http://localhost:8080"),
        ({"host": "http://localhost", "port": 8080}, "http://localhost:8080"),
        ({"host": "http://localhost:9/v1", "port": 8080}, "http://localhost:9"),
        ({"host": "https://gateway/apimart", "port": 444}, "https://gateway:444/apimart"),
        ({"host": "http://[::1]", "port": 8080}, "http://[::1]:8080"),
        ({"host": "https://api.apib.ai", "port": 443}, "https://api.apib.ai"),
        ({"port": 443}, "https://api.apimart.ai"),
    ],
)
def test_base_url(fields: dict[str, Any], base_url: str) -> None:
    assert settings(**fields).base_url == base_url


def test_defaults() -> None:
    found = settings()
    assert found.seconds == {
        RequestKind.READ: 15.0,
        RequestKind.SUBMIT: 45.0,
        RequestKind.UPLOAD: 120.0,
        RequestKind.CATALOGUE: 10.0,
    }
    assert (found.verify, found.proxy, found.headers, found.api_key) == (True, None, {}, KEY)


def test_good_extras(tmp_path: Any) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    extra = {
        "timeout": "7",
        "upload_timeout": 300,
        "verify": str(bundle),
        "proxy": "http://p:1",
        "headers": {"X-A": "1"},
    }
    found = settings(extra)
    assert found.seconds == {
        RequestKind.READ: 7.0,
        RequestKind.SUBMIT: 7.0,
        RequestKind.UPLOAD: 300.0,
        RequestKind.CATALOGUE: 7.0,
    }
    assert (found.verify, found.proxy, found.headers) == (str(bundle), "http://p:1", {"X-A": "1"})


@pytest.mark.parametrize(
    ("written", "verify"), [(True, True), (False, False), ("False", False), ("true", True), ("", True), (None, True)]
)
def test_verify(written: object, verify: bool) -> None:
    assert settings({"verify": written}).verify is verify


@pytest.mark.parametrize(
    ("lines", "headers"),
    [
        (["X-A: 1", " X-B:http://b ", ""], {"X-A": "1", "X-B": "http://b"}),
        (["X-A:"], {"X-A": ""}),
        ([], {}),
    ],
)
def test_headers_as_the_form_saves_them(lines: list[str], headers: dict[str, str]) -> None:
    assert settings({"headers": lines}).headers == headers


def test_a_misspelt_extra_is_named_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    assert settings(extra={"time_out": "sk-secret", "timeout": 5}).seconds[RequestKind.READ] == 5
    (warning,) = caplog.messages
    assert "unknown extra fields are ignored: time_out. The known ones are timeout, upload_timeout" in warning
    assert "sk-secret" not in warning
    caplog.clear()
    settings(extra={"timeout": 5, "headers": {}})
    assert not caplog.messages


def test_empty_extras_are_as_good_as_none() -> None:
    empty: dict[str, Any] = {"timeout": "", "upload_timeout": None, "verify": "", "proxy": "", "headers": {}}
    assert settings(empty) == settings() == settings("") == settings("{}")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "extra is no JSON": ({"extra": "{"}, "extra"),
    "extra is a list": ({"extra": "[]"}, "extra"),
    "timeout is a word": ({"extra": {"timeout": "long"}}, "extra.timeout"),
    "timeout is zero": ({"extra": {"timeout": 0}}, "extra.timeout"),
    "timeout is negative": ({"extra": {"timeout": -5}}, "extra.timeout"),
    "timeout is true": ({"extra": {"timeout": True}}, "extra.timeout"),
    "timeout is a list": ({"extra": {"timeout": [5]}}, "extra.timeout"),
    "timeout is no number": ({"extra": {"timeout": "nan"}}, "extra.timeout"),
    "timeout never ends": ({"extra": {"timeout": "inf"}}, "extra.timeout"),
    "upload_timeout is a word": ({"extra": {"upload_timeout": "long"}}, "extra.upload_timeout"),
    "verify is no file": ({"extra": {"verify": "/no/such/file"}}, "extra.verify"),
    "verify is a number": ({"extra": {"verify": 5}}, "extra.verify"),
    "proxy is no URL": ({"extra": {"proxy": f"proxy:{KEY}"}}, "extra.proxy"),
    "proxy is SOCKS": ({"extra": {"proxy": f"socks5://user:{KEY}@proxy"}}, "extra.proxy"),
    "proxy is a number": ({"extra": {"proxy": 5}}, "extra.proxy"),
    "headers is a text": ({"extra": {"headers": "X-A: 1"}}, "extra.headers"),
    "a line without a text": ({"extra": {"headers": ["X-A: 1", f"X-{KEY}"]}}, "extra.headers"),
    "a line with a space in the name": ({"extra": {"headers": ["X-A : 1"]}}, "extra.headers"),
    "a line that is an object": ({"extra": {"headers": [{"X-A": "1"}]}}, "extra.headers"),
    "a line that replaces ours": ({"extra": {"headers": [f"Authorization: Bearer {KEY}"]}}, "extra.headers"),
    "a header is a number": ({"extra": {"headers": {"X-A": 1}}}, "extra.headers"),
    "a header replaces ours": ({"extra": {"headers": {"authorization": f"Bearer {KEY}"}}}, "extra.headers"),
    "a header replaces the key": ({"extra": {"headers": {"Idempotency-KEY": "x"}}}, "extra.headers"),
    "a header breaks the line": ({"extra": {"headers": {"X-A": f"1\r\nX-B: {KEY}"}}}, "extra.headers"),
    "no password": ({"password": None}, "password"),
    "masked password": ({"password": "***"}, "password"),
    "blank password": ({"password": "  "}, "password"),
    "password with a space": ({"password": f"{KEY} x"}, "password"),
    "password with a line break": ({"password": f"{KEY}\nx"}, "password"),
    "password beyond ASCII": ({"password": f"{KEY}é"}, "password"),
    "empty header name": ({"extra": {"headers": {"": "x"}}}, "extra.headers"),
    "colon in a header's name": ({"extra": {"headers": {"X:A": "x"}}}, "extra.headers"),
    "space in a header's name": ({"extra": {"headers": {"X A": "x"}}}, "extra.headers"),
    "name that hides our own": ({"extra": {"headers": {"Authorization ": KEY}}}, "extra.headers"),
    "value that no header can hold": ({"extra": {"headers": {"X-A": f"狐{KEY}"}}}, "extra.headers"),
    "value that begins with a space": ({"extra": {"headers": {"X-A": f" {KEY}"}}}, "extra.headers"),
    "header that breaks the framing": ({"extra": {"headers": {"Transfer-Encoding": "chunked"}}}, "extra.headers"),
    "proxy without a host": ({"extra": {"proxy": "http://"}}, "extra.proxy"),
    "proxy with a bad port": ({"extra": {"proxy": f"http://user:{KEY}@proxy:port"}}, "extra.proxy"),
    "proxy that is malformed": ({"extra": {"proxy": f"http://user:{KEY}@[proxy"}}, "extra.proxy"),
    "host with credentials": ({"host": f"https://user:{KEY}@api.apimart.ai"}, "host"),
    "host with a query": ({"host": f"https://api.apimart.ai?key={KEY}"}, "host"),
    "host whose port is a password": ({"host": f"https://user:{KEY}"}, "port"),
    "host that is malformed": ({"host": f"https://[{KEY}"}, "malformed"),
    "host of another scheme": ({"host": "ftp://api.apimart.ai"}, "host"),
    "schema of another scheme": ({"host": "api.apimart.ai", "schema": "ftp"}, "host"),
}


@pytest.mark.parametrize("name", [None, "", " ", 5, b"apimart_default", ["apimart_default"]])
def test_what_is_no_id_of_a_connection_is_named(name: Any) -> None:
    with pytest.raises(ApimartArgumentError, match="apimart_conn_id must be the id of a connection, not"):
        ApimartHook(name)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_value_is_named_with_the_connection_and_the_key_is_not_shown(what: str) -> None:
    fields, field = BAD[what]
    with pytest.raises(ApimartConfigurationError) as raised:
        settings(**fields)
    assert "'my_apimart'" in str(raised.value)
    assert field in str(raised.value)
    assert KEY not in everything_said(raised.value)


def test_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"headers": {"X-Secret": KEY}, "proxy": f"http://user:{KEY}@proxy:1"}
    hook = quick_hook(monkeypatch, "https://api.apimart.ai", password=KEY, extra=extra)
    session = hook.get_conn()
    shown = [hook.settings, hook, session, session.auth, hook.key_scope, session.headers]
    assert not [each for each in shown if KEY in repr(each) or KEY in str(each)]


def sent(settings: ClientSettings, url: str) -> Mapping[str, str]:
    return authenticated_session(settings).prepare_request(requests.Request("GET", url)).headers


def test_the_key_goes_to_the_connection_s_host_only() -> None:
    found = settings(host="https://api.apib.ai")
    assert sent(found, "https://api.apib.ai/v1/models")["Authorization"] == f"Bearer {KEY}"
    for url in (
        "http://api.apib.ai/v1/models",
        "https://api.apib.ai:444/v1/models",
        "https://api.apib.ai.evil.example/",
        "https://cdn.apib.ai/f/1.png",
        "https://evil.example/https://api.apib.ai/",
        "https://user@evil.example/",
    ):
        assert KEY not in str(sent(found, url))
        assert "User-Agent" in sent(found, url)


@pytest.mark.parametrize(
    "host",
    [
        "https://API.Apib.ai",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://api.apib.ai:443",
        "https://api.apib.ai:",
        "https://api.apib.ai:0443",
    ],
)
def test_the_key_goes_to_the_host_however_it_is_written(host: str) -> None:
    found = settings(host=host)
    assert sent(found, f"{found.base_url}/v1/balance")["Authorization"] == f"Bearer {KEY}"


def test_two_keys_or_hosts_have_different_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    scopes = {
        quick_hook(monkeypatch, host, password=password).key_scope
        for host, password in [("https://a", "k"), ("https://b", "k"), ("https://a", "l"), ("https://a/v1/", "k")]
    }
    assert len(scopes) == 3


async def test_the_trigger_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = quick_hook(monkeypatch, "https://api.apib.ai/v1", password=KEY, extra={"timeout": 3})
    assert await hook.get_async_settings() == hook.settings
