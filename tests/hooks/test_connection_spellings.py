"""Connections as people write them into the environment: understood, or refused by the name of what is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from airflow_provider_apimart.exceptions import ApimartConfigurationError
from airflow_provider_apimart.hooks.apimart import ApimartHook

KEY = "sk-0123456789secret"
VARIABLE = "AIRFLOW_CONN_APIMART_DEFAULT"


def written(monkeypatch: pytest.MonkeyPatch, value: str) -> ApimartHook:
    monkeypatch.setenv(VARIABLE, value)
    return ApimartHook()


def as_json(**fields: Any) -> str:
    return json.dumps({"conn_type": "apimart", "password": KEY, **fields})


@pytest.mark.parametrize(
    ("uri", "base_url"),
    [
        (f"apimart://:{KEY}@", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@api.apimart.ai", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@api.apimart.ai/v1", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@api.apimart.ai/V1/", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@api.apimart.ai:8443/v1", "https://api.apimart.ai:8443"),
        (f"apimart://:{KEY}@https%3A%2F%2Fapi.apimart.ai%2Fv1", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@http%3A%2F%2Flocalhost%3A8080", "http://localhost:8080"),
        (f"apimart://:{KEY}@localhost:8080/http", "http://localhost:8080"),
        (f"apimart://:Bearer%20{KEY}@api.apimart.ai", "https://api.apimart.ai"),
        (f"apimart://:{KEY}@gate.example/prefix/v1", "https://gate.example/prefix"),
        (f"apimart://:{KEY}@[::1]:8080", "https://[::1]:8080"),
        (f"apimart://:{KEY}@[::1]:8080/http", "http://[::1]:8080"),
    ],
)
def test_a_uri_is_understood(monkeypatch: pytest.MonkeyPatch, uri: str, base_url: str) -> None:
    found = written(monkeypatch, uri).settings
    assert (found.base_url, found.api_key) == (base_url, KEY)


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("rest", ["api.apimart.ai", "api.apimart.ai/v1", "localhost:8080"])
def test_a_uri_with_a_scheme_inside_is_named_with_the_form_to_write(
    monkeypatch: pytest.MonkeyPatch, scheme: str, rest: str
) -> None:
    with pytest.raises(ApimartConfigurationError) as raised:
        _ = written(monkeypatch, f"apimart://:{KEY}@{scheme}://{rest}").settings
    assert f"Airflow cannot read the environment variable {VARIABLE}" in str(raised.value)
    assert f"""Write it as JSON: {VARIABLE}='{{"conn_type": "apimart", "password": "sk-..."}}'""" in str(raised.value)
    assert KEY not in str(raised.value)


def test_an_undefined_connection_names_both_ways_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ApimartConfigurationError, match=r"isn't defined\. Add one of type 'apimart'"):
        _ = ApimartHook("nobody").settings


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": '"https://api.apimart.ai"'}, "https://api.apimart.ai"),
        ({"host": "<https://api.apimart.ai/v1>"}, "https://api.apimart.ai"),
        ({"host": "//api.apimart.ai"}, "https://api.apimart.ai"),
        ({"host": "https://api.apimart.ai/v1/v1/"}, "https://api.apimart.ai"),
        ({"host": "localhost", "port": 8080, "schema": "http://"}, "http://localhost:8080"),
        ({"host": "::1", "port": 8080, "schema": "HTTP"}, "http://[::1]:8080"),
    ],
)
def test_a_host_as_it_is_copied_is_taken(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], base_url: str
) -> None:
    assert written(monkeypatch, as_json(**fields)).settings.base_url == base_url


def test_a_key_alone_is_named_with_the_form_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApimartConfigurationError, match=re.escape('as in {"conn_type": "apimart", "password"')):
        _ = written(monkeypatch, KEY).settings


@pytest.mark.parametrize(
    "password",
    [
        f"Bearer {KEY}",
        f"bearer  {KEY}",
        f"Authorization: Bearer {KEY}",
        f"authorization:bearer {KEY}\n",
        f" {KEY}\n",
        f'"{KEY}"',
        f"'{KEY}'",
        f"`{KEY}`",
        f"\u201c{KEY}\u201d",
        f"Bearer '{KEY}'",
        f"Bearer:{KEY}",
        f"Authorization=Bearer {KEY}",
        f"APIMART_API_KEY={KEY}",
        f"export APIMART_API_KEY='{KEY}'",
    ],
)
def test_a_key_as_it_is_copied_is_taken(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    assert written(monkeypatch, as_json(password=password)).settings.api_key == KEY


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"password": "Bearer"}, "invalid password: it is empty"),
        ({"password": "", "login": KEY}, "invalid password: it is empty, and the login is not used"),
        ({"password": f"{KEY} {KEY}"}, "invalid password: it holds a space"),
        ({"host": "https://api.apimart.ai/v1/images/generations"}, "invalid host: it is the URL of an endpoint"),
        ({"host": "api.apimart.ai/v1/tasks/task_1"}, "without '/v1/tasks'"),
        ({"host": "api.apimart.ai", "schema": "v1/videos/generations"}, "without '/v1/videos'"),
        ({"host": f"https://:{KEY}@api.apimart.ai"}, "invalid host: it holds credentials"),
        ({"host": KEY}, "invalid host: it is an API key"),
        ({"host": f"https://{KEY}"}, "invalid host: it is an API key"),
        ({"host": "https:api.apimart.ai"}, "invalid host: its scheme is written twice, or without '://'"),
        ({"host": "https:/api.apimart.ai"}, "invalid host: its scheme is written twice, or without '://'"),
        ({"host": "https//api.apimart.ai"}, "invalid host: its scheme is written twice, or without '://'"),
        ({"host": "https://https://api.apimart.ai"}, "invalid host: its scheme is written twice, or without '://'"),
        ({"host": "api.apimart.ai, api.aiuxu.com"}, "invalid host: it holds a space; write one host"),
        ({"host": "api.apimart.ai/api/pricing/model"}, "without '/api/pricing'"),
        ({"host": "api.apimart.ai", "schema": "v1beta"}, "invalid schema: 'v1beta' is neither http nor https"),
        ({"password": "sk-..."}, "invalid password: it is a placeholder"),
        ({"password": "https://api.apimart.ai"}, "invalid password: it is a URL"),
    ],
)
def test_what_cannot_be_right_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ApimartConfigurationError) as raised:
        _ = written(monkeypatch, as_json(**fields)).settings
    assert "Connection 'apimart_default': " in str(raised.value)
    assert reason in str(raised.value)
    assert KEY not in str(raised.value)


def test_an_endpoint_in_a_uri_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApimartConfigurationError, match="without '/v1/images'"):
        _ = written(monkeypatch, f"apimart://:{KEY}@api.apimart.ai/v1/images/generations").settings
