"""Inline media: files in a JSON reply as base64 or a ``data:`` URL instead of at a URL of their own."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from airflow_provider_apimart.api.media_type import HEAD_BYTES, MEDIA_PREFIXES, media_type

_DATA_URL = re.compile(r"\s*(data:|(image|video|audio)/[\w.+-]+;base64,)", re.IGNORECASE)
# Inline files within longer texts, such as Markdown or JSON.
_WITHIN_TEXT = re.compile(r"(data:[\w/.+-]{0,100};base64,)?[A-Za-z0-9+/_\\-]{680,}={0,2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_SPACE = re.compile(r"\s+")
# Four letters hold three bytes; the head of a file is enough to judge it.
_HEAD_LETTERS = HEAD_BYTES // 3 * 4
_SHORTEST = 64
_DEEPEST = 20


def inline_content(value: str) -> bytes | None:
    """
    Return the file that a text holds, ``None`` if it holds none.

    :param value: A ``data:`` URL, or base64 whose first bytes are those of an image, video or audio.
    """
    if is_data_url(value):
        return _data_url_content(value) or None
    if len(value) < _SHORTEST or not _BASE64.fullmatch(value[:_HEAD_LETTERS]):
        return None
    head = _decoded(value[:_HEAD_LETTERS])
    is_media = head is not None and (media_type(head) or "").startswith(MEDIA_PREFIXES)
    return _decoded(value) or None if is_media else None


def is_data_url(value: str) -> bool:
    """Return whether a text is a ``data:`` URL, also one that has lost its beginning: ``image/png;base64,...``."""
    return _DATA_URL.match(value) is not None


def without_inline_content(value: Any, depth: int = 0) -> Any:
    """
    Return JSON in which a short note stands for each inline file.

    :param value: Any JSON. What is nested too deep is left out.
    """
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {key: without_inline_content(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_inline_content(each, depth + 1) for each in value]
    if isinstance(value, str) and (is_data_url(value) or _is_long_base64(value)):
        return _note(value)
    return _WITHIN_TEXT.sub(lambda found: _note(found[0]), value) if isinstance(value, str) else value


def _note(inline: str) -> str:
    return f"<inline file of {len(inline):,} characters>"


def _is_long_base64(value: str) -> bool:
    return len(value) >= _HEAD_LETTERS and " " not in value.strip() and bool(_BASE64.fullmatch(value))


def _data_url_content(value: str) -> bytes | None:
    header, comma, payload = value.partition(",")
    if not comma:
        return None
    is_base64 = header.lower().rstrip().endswith(";base64")
    content = unquote_to_bytes(payload)
    return _decoded(content.decode("latin-1")) if is_base64 else content


def _decoded(value: str) -> bytes | None:
    letters = _SPACE.sub("", value).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
