from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.base_url import normalise_base_url


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://api.apimart.ai", "https://api.apimart.ai"),
        ("https://api.apimart.ai/", "https://api.apimart.ai"),
        ("https://api.apimart.ai/v1", "https://api.apimart.ai"),
        ("https://api.apimart.ai/v1/", "https://api.apimart.ai"),
        ("https://api.apimart.ai///", "https://api.apimart.ai"),
        ("https://api.apimart.ai//v1//", "https://api.apimart.ai"),
        ("api.apimart.ai", "https://api.apimart.ai"),
        ("api.apimart.ai/v1", "https://api.apimart.ai"),
        ("https://api.apimart.ai/V1/", "https://api.apimart.ai"),
        ("  HTTPS://API.ApiMart.ai/v1 \n", "https://api.apimart.ai"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost:8080/v1/", "https://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://gateway.example/apimart/v1", "https://gateway.example/apimart"),
        ("https://gateway.example/Path", "https://gateway.example/Path"),
        ("https://gateway.example/notv1", "https://gateway.example/notv1"),
        ("https://api.apimart.ai:", "https://api.apimart.ai"),
        ("https://api.apimart.ai:0443", "https://api.apimart.ai"),
        ("http://localhost:80/v1", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://localhost:080", "https://localhost:80"),
        ("https://XN--fchse-kva.example", "https://xn--fchse-kva.example"),
    ],
)
def test_normalised(written: str, normal: str) -> None:
    assert normalise_base_url(written) == normal
    assert normalise_base_url(normal) == normal


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("https://api.apimart.ai/v1/images/generations", "endpoint; write the base URL, without '/v1/images'"),
        ("https://api.apimart.ai/V1/Tasks/task_1", "endpoint"),
        ("api.apimart.ai/v1/balance", "endpoint"),
        ("", "has no host"),
        ("https://", "has no host"),
        ("https:///v1", "has no host"),
        ("http://:80", "has no host"),
        ("https://a b", "holds a space"),
        ("ftp://api.apimart.ai", "'ftp'"),
        ("file:///etc/passwd", "'file'"),
        ("javascript://x", "'javascript'"),
        (f"https://user:{SECRET}@api.apimart.ai", "credentials"),
        (f"{SECRET}@api.apimart.ai", "credentials"),
        (f"https://api.apimart.ai?key={SECRET}", "query"),
        (f"https://api.apimart.ai/#{SECRET}", "fragment"),
        (f"https://user:{SECRET}", "port"),
        ("https://api.apimart.ai:65536", "its port is not a number from 0 to 65535"),
        ("https://api.apimart.ai:-1", "port"),
        (f"https://[{SECRET}", "malformed"),
        ("https://airport\u2100.example", "malformed"),
        (f"https://{SECRET}..füchse", "xn-- form"),
        ("https://straße.example", "xn-- form"),
        ("https://API。apimart。ai", "xn-- form"),
        (f"https://{SECRET}℀.example", "malformed"),
        (f"https://user:{SECRET}/x@api.apimart.ai", "port"),
        (f"https://user:{SECRET}?@api.apimart.ai", "query"),
    ],
)
def test_refused_with_the_reason_and_without_the_secret(written: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        normalise_base_url(written)
    assert SECRET not in str(raised.value)
    # What the library says of it holds the text: not even the context of the error may lead there.
    assert raised.value.__cause__ is raised.value.__context__ is None


@given(st.text())
def test_any_text_is_normalised_or_refused(written: str) -> None:
    try:
        normal = normalise_base_url(written)
    except ValueError:
        return
    assert normal.startswith(("https://", "http://"))
    assert not normal.lower().endswith(("/", "/v1"))
