"""The base URL of an APIMart installation, in the many ways that people write it."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("https", "http")


def normalise_base_url(written: str) -> str:
    """
    Return scheme, host, port and path prefix of a base URL, without a trailing ``/`` or ``/v1``.

    :param written: What the user wrote; a missing scheme means ``https``.
    :raises ValueError: If it can't be a base URL, with the reason and without repeating any secret in it.
    """
    written = written.strip()
    parts = _split(written if "://" in written else f"https://{written}")
    _refuse(parts)
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{path}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # A bad port is only noticed when it is asked for.
    except ValueError as error:
        raise ValueError(f"it can't be read as a URL: {_reason(error)}") from None
    return parts


def _reason(error: ValueError) -> str:
    # The library's own messages repeat the text, which may hold credentials.
    return "the port is not a number from 0 to 65535" if "ort" in str(error) else "its host is malformed"


def _refuse(parts: SplitResult) -> None:
    if parts.scheme.lower() not in _SCHEMES:
        raise ValueError(f"its scheme is {parts.scheme!r}; only https and http are spoken")
    if "@" in parts.netloc:
        raise ValueError("it holds credentials; the API key belongs into the connection's password")
    if not parts.hostname or any(letter.isspace() for letter in parts.netloc):
        raise ValueError("it names no host")
    if parts.query or parts.fragment:
        raise ValueError("it has a query or fragment; a base URL ends with its path")
