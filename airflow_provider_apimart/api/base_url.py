"""The base URL of an APIMart installation, in the many ways that people write it."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

# With the port that each means where none is written.
_SCHEMES = {"https": 443, "http": 80}


def normalise_base_url(written: str) -> str:
    """
    Return scheme, host, port and path prefix of a base URL, without a trailing ``/`` or ``/v1``.

    A port that the scheme means anyway is left out: one account is written in one way.

    :param written: What the user wrote; a missing scheme means ``https``.
    :raises ValueError: If it can't be a base URL, with the reason and without repeating any secret in it.
    """
    written = written.strip()
    parts = _split(written if "://" in written else f"https://{written}")
    _refuse(parts)
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme.lower()}://{_authority(parts)}{path}"


def _split(url: str) -> SplitResult:
    # The library's own messages repeat the text, which may hold credentials: nothing of them is chained.
    with suppress(ValueError):
        return urlsplit(url)
    raise ValueError("it can't be read as a URL: its host is malformed")


def _port(parts: SplitResult) -> int | None:
    with suppress(ValueError):
        return parts.port
    raise ValueError("its port is no number from 0 to 65535")


def _authority(parts: SplitResult) -> str:
    """Return host and port in the one form that every HTTP library leaves as it is."""
    port = _port(parts)
    is_default = port in (None, _SCHEMES[parts.scheme.lower()])
    return _host(parts.hostname or "") + ("" if is_default else f":{port}")


def _host(name: str) -> str:
    if not name.isascii():
        # Libraries disagree on how to write such a name in ASCII, and the API key must not go to the wrong one.
        raise ValueError("its host isn't written in ASCII; write it in its xn-- form")
    return f"[{name}]" if ":" in name else name


def _refuse(parts: SplitResult) -> None:
    if parts.scheme.lower() not in _SCHEMES:
        raise ValueError(f"its scheme is {parts.scheme!r}; only https and http are spoken")
    if "@" in parts.netloc:
        raise ValueError("it holds credentials; the API key belongs into the connection's password")
    if not parts.hostname or any(letter.isspace() for letter in parts.netloc):
        raise ValueError("it names no host")
    if parts.query or parts.fragment:
        raise ValueError("it has a query or fragment; a base URL ends with its path")
