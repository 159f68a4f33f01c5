"""URLs and inline files in the texts of a result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

from airflow_provider_apimart.api import json_values
from airflow_provider_apimart.api.inline_media import inline_content, is_data_url

_LONGEST_PATH = 4096
_LONGEST_LIST = 1_000_000
# A host and a path, without a scheme.
_SCHEMELESS = re.compile(r"([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}|\d{1,3}(\.\d{1,3}){3})(:[0-9]+)?/[^\s]+")
_PATH = re.compile(r"\.{0,2}/[^\s]+")
_SUFFIX = r"\.(png|jpe?g|webp|gif|avif|svg|mp4|webm|mov|m4v|mp3|wav|ogg|flac|m4a)(\?\S*)?"
# Without a slash before it, only its ending tells a path from a text.
_FILE = re.compile(rf"[\w./%~+-]+{_SUFFIX}", re.IGNORECASE)
_WITH_SUFFIX = re.compile(rf"{_SUFFIX}\s*$", re.IGNORECASE)
_WRAPPINGS = ('""', "''", "<>", "``")
_NEXT_URL = re.compile(r"[\s,;|]+(?=https?://)", re.IGNORECASE)


def parts_of(written: str) -> Iterator[str]:
    """
    Go through the URLs and inline files that a text holds: itself, or those of a list in it.

    :param written: A text where a URL is expected; also a JSON list, or several URLs with commas or spaces in between.
    """
    text = _unwrapped(written)
    if text.startswith(("[", "{")) and len(text) < _LONGEST_LIST:
        found = json_values.parse(text.encode("utf-8", "replace"))
        yield from _texts(found)
    elif text.lower().startswith(("https://", "http://")):
        yield from _NEXT_URL.split(text)
    else:
        yield text


def has_media_suffix(text: str) -> bool:
    """Return whether a text ends like a URL of a media file."""
    return _WITH_SUFFIX.search(text) is not None


def public_url(text: str, base_url: str) -> str | None:
    """
    Return the absolute URL that a text is, also one without scheme or host; ``None`` if it is no URL.

    :param base_url: The URL that relative URLs refer to.
    """
    url = text.encode("utf-8", "replace").decode("utf-8").replace("\\/", "/").replace("&amp;", "&").strip()
    if url.lower().startswith(("https://", "http://")):
        return url
    if is_data_url(url):
        return None
    if url.startswith("//") and len(url) > len("//"):
        return f"https:{url}"
    is_path = len(url) < _LONGEST_PATH and (_PATH.fullmatch(url) or _FILE.fullmatch(url)) and not url.startswith("//")
    if not (is_path or _SCHEMELESS.fullmatch(url)) or inline_content(url) is not None:
        return None
    if _SCHEMELESS.fullmatch(url):
        return f"https://{url}"
    return _joined(base_url, url) if base_url else None


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for name in ("url", "urls"):
                yield from _texts(value.get(name))


def _unwrapped(written: str) -> str:
    text = written.strip()
    while len(text) > 1 and text[0] + text[-1] in _WRAPPINGS:
        text = text[1:-1].strip()
    return text


def _joined(base_url: str, path: str) -> str | None:
    try:
        return urljoin(f"{base_url}/", path)
    except ValueError:
        return None
