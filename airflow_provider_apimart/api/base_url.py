"""Base URL of an APIMart installation, normalised from what users write."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

#: The schemes of HTTP, each with its default port.
DEFAULT_PORTS = {"https": 443, "http": 80}
_ENDPOINT = re.compile(
    r"/v1/(images|videos|music|audio|tasks|uploads|balance|user|models|model-schema|model-docs|chat)(/|$)"
    r"|/api/(pricing|marketplace)(/|$)",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(/v1)+$", re.IGNORECASE)
_QUOTES = "\"'`<>"
_LIKE_A_KEY = re.compile(r"(https?://)?sk-[^./]*$", re.IGNORECASE)


def normalise_base_url(written: str) -> str:
    """
    Return scheme, host, port and path prefix of a base URL, without a trailing ``/`` or ``/v1``.

    The scheme's default port is left out, so that one account has one base URL.

    :param written: The user's text; a missing scheme means ``https``.
    :raises ValueError: If it is no base URL, with the reason and without any secret in it.
    """
    written = written.strip().strip(_QUOTES).strip().removeprefix("//")
    if _LIKE_A_KEY.match(written):
        raise ValueError("it is an API key, which belongs in the connection's password")
    parts = _split(written if "://" in written else f"https://{written}")
    _refuse(parts)
    path = _VERSION.sub("", parts.path.rstrip("/")).rstrip("/")
    return f"{parts.scheme.lower()}://{_authority(parts)}{path}"


def _split(url: str) -> SplitResult:
    # The library's messages repeat the text, which may hold credentials: they are not chained.
    with suppress(ValueError):
        return urlsplit(url)
    raise ValueError("it is not a URL: its host is malformed")


def _port(parts: SplitResult) -> int | None:
    with suppress(ValueError):
        return parts.port
    raise ValueError("its port is not a number from 0 to 65535")


def _authority(parts: SplitResult) -> str:
    """Return host and port in the form that no HTTP library changes."""
    port = _port(parts)
    is_default = port in (None, DEFAULT_PORTS[parts.scheme.lower()])
    return _host(parts.hostname or "") + ("" if is_default else f":{port}")


def _host(name: str) -> str:
    if not name.isascii():
        # Libraries encode such names differently, and the API key must not go to the wrong host.
        raise ValueError("its host is not ASCII; write it in its xn-- form")
    return f"[{name}]" if ":" in name else name


def _refuse(parts: SplitResult) -> None:
    if parts.scheme.lower() not in DEFAULT_PORTS:
        raise ValueError(f"its scheme is {parts.scheme!r}, but only https and http are supported")
    if "@" in parts.netloc:
        raise ValueError("it holds credentials; the API key belongs in the connection's password")
    if any(letter.isspace() for letter in parts.netloc):
        raise ValueError("it holds a space; write one host, such as https://api.apimart.ai")
    if not parts.hostname:
        raise ValueError("it has no host")
    if parts.hostname.lower() in DEFAULT_PORTS:
        raise ValueError("its scheme is written twice, or without '://'; write it as https://api.apimart.ai")
    if parts.query or parts.fragment:
        raise ValueError("it has a query or fragment; a base URL ends with its path")
    if endpoint := _ENDPOINT.search(parts.path):
        raise ValueError(f"it is the URL of an endpoint; write the base URL, without {endpoint[0].rstrip('/')!r}")
