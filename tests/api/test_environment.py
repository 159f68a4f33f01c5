"""Proxies and certificate authorities are read in one place; see the tests over HTTP for what the libraries do."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from airflow_provider_apimart.api.environment import NetworkSettings, network_settings, proxy_url
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.exceptions import ApimartConfigurationError
from airflow_provider_apimart.results.download.client import network_of

PASSWORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="%"), min_size=1, max_size=20)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("written", ["127.0.0.1:3128", "http://127.0.0.1:3128", " HTTP://127.0.0.1:3128/ "])
def test_a_proxy_needs_no_scheme(name: str, written: str) -> None:
    found = network_settings(environ={name: written})
    assert found.proxy_for("http://api.example/v1") == "http://127.0.0.1:3128"


@settings(max_examples=50)
@given(password=PASSWORD)
def test_credentials_may_hold_any_character(password: str) -> None:
    found = proxy_url(f"user:{password}@[::1]:3128", "x")
    credentials = ClientSettings("sk-key", proxy=found).secrets.redact(f"key {password}")
    assert found.endswith("@[::1]:3128")
    assert credentials == "key ***"


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", "https://api.example", True),
        ("example", "https://api.example", True),
        (".example", "https://api.example", True),
        ("*.example", "https://api.example", True),
        ("a, api.example b", "https://API.example.", True),
        ("ple", "https://api.example", False),
        ("api.example:443", "https://api.example", True),
        ("api.example:8443", "https://api.example", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("[::1]", "http://[::1]:80", True),
        ("10.0.0.0/8:8080", "http://10.1.2.3:8080", True),
        ("10.1.2.3:8080", "http://10.1.2.3", False),
        ("[2001:db8::1]:443", "https://[2001:DB8:0::1]", True),
        ("[2001:db8::1]:443", "https://[2001:db8::1]:8443", False),
        ("2001:db8::/32", "https://[2001:db8::10]", True),
        ("::10", "https://[::1]:10", False),
        ("https://api.example/", "https://api.example", True),
        ("http://api.example:8443", "https://api.example", False),
        ("", "https://api.example", False),
    ],
)
def test_no_proxy(no_proxy: str, url: str, is_direct: bool) -> None:
    found = network_settings(environ={"all_proxy": "proxy:1", "NO_PROXY": no_proxy})
    assert (found.proxy_for(url) is None) is is_direct


@pytest.mark.parametrize(
    "written", ["socks5://u:s3cret@p:1", "socks5h://p", "socks4://p:1", "ftp://u:s3cret@p", "u:s3cret@p:x"]
)
def test_what_is_no_http_proxy_is_refused_before_anything_is_sent(written: str) -> None:
    found = network_settings(environ={"https_proxy": written})
    with pytest.raises(ApimartConfigurationError, match="https_proxy") as raised:
        found.proxy_for("https://api.example")
    assert "s3cret" not in str(raised.value)
    assert ("SOCKS" in str(raised.value)) is written.startswith("socks")


def test_a_socks_proxy_is_refused_before_results_are_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ApimartConfigurationError, match="SOCKS"):
        network_of(ClientSettings("sk-key"))


def test_of_several_directories_the_first_one_that_exists_is_used(tmp_path: Path) -> None:
    assert network_settings(environ={"SSL_CERT_DIR": f"/nowhere:{tmp_path}"}).verified_by() == str(tmp_path)
    with pytest.raises(ApimartConfigurationError, match="SSL_CERT_DIR"):
        network_settings(environ={"SSL_CERT_DIR": "/nowhere"}).verified_by()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_may_lie_in_a_directory(name: str, tmp_path: Path) -> None:
    found = network_settings(environ={name: str(tmp_path)})
    assert found.verified_by() == str(tmp_path)
    assert found.ssl_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unreadable_authorities_give_the_same_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    found = network_settings(environ={"REQUESTS_CA_BUNDLE": str(path)})
    for use in (found.ssl_context, found.verified_by):
        with pytest.raises(ApimartConfigurationError, match="REQUESTS_CA_BUNDLE"):
            use()


def test_authorities_are_read_again_only_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(DEFAULT_CA_BUNDLE_PATH).read_bytes())
    found = network_settings(environ={"REQUESTS_CA_BUNDLE": str(path)})
    before = found.ssl_context()
    assert found.ssl_context() is before
    os.utime(path, (0, 0))
    assert found.ssl_context() is not before
    path.write_bytes(b"no certificate")
    with pytest.raises(ApimartConfigurationError, match="REQUESTS_CA_BUNDLE"):
        found.ssl_context()


def test_the_connection_comes_before_the_environment(tmp_path: Path) -> None:
    environ = {"https_proxy": "http://theirs:1", "no_proxy": "*", "REQUESTS_CA_BUNDLE": "/nowhere"}
    found = network_settings("ours:2", str(tmp_path), environ)
    assert found.proxy_for("https://api.example") == "http://ours:2"
    assert found.verified_by() == str(tmp_path)
    assert network_settings(None, False, environ).ssl_context().verify_mode is ssl.CERT_NONE
    assert NetworkSettings().proxy_for("https://api.example") is None
