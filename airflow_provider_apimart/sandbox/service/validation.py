"""Validation of requests: JSON types first, then the ranges of the model."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_apimart.sandbox.service.models import Model
from airflow_provider_apimart.sandbox.service.music import check_field, check_music
from airflow_provider_apimart.sandbox.service.replies import json_type, refusal

MAX_UPLOAD = 20_971_520

_TYPES: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "model": ("string", str),
    "prompt": ("string", str),
    "negative_prompt": ("string", str),
    "size": ("string", str),
    "aspect_ratio": ("string", str),
    "resolution": ("string", str),
    "quality": ("string", str),
    "mask_url": ("string", str),
    "webhook": ("string", str),
    "n": ("int", int),
    "seed": ("int", int),
    "duration": ("int", int),
    "image_urls": ("array", list),
    "image_with_roles": ("array", list),
    "video_urls": ("array", list),
    "audio_urls": ("array", list),
    "metadata": ("object", dict),
}

_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_OTHER_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"%PDF-"), "application/pdf"),
    (re.compile(rb"PK\x03\x04"), "application/zip"),
    (re.compile(rb"BM"), "image/bmp"),
    (re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE), "text/html; charset=utf-8"),
    (re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*\Z"), "text/plain; charset=utf-8"),
)


def image_type(content: bytes) -> str:
    """Return the type of an upload by its content; refuse all but JPEG, PNG, GIF and WebP."""
    for signature, type_ in _SIGNATURES:
        if signature.match(content):
            return type_
    raise refusal(
        "unsupported_image", f"unsupported image type: {_other_type(content[:512])}, allowed: jpeg, png, gif, webp"
    )


def _other_type(start: bytes) -> str:
    found = (type_ for signature, type_ in _OTHER_SIGNATURES if signature.match(start))
    return next(found, "application/octet-stream")


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a request's body; refuse all but a JSON object."""
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise refusal("invalid_request", f"invalid JSON: {error}") from None
    if not isinstance(payload, dict):
        raise refusal("invalid_request", "the request body must be a JSON object")
    return payload


def check_types(payload: Mapping[str, Any]) -> None:
    """Refuse known fields of a wrong JSON type; quoted numbers and ``true`` are not numbers."""
    for name, (expected, type_) in _TYPES.items():
        value = payload.get(name)
        if value is not None and (not isinstance(value, type_) or (expected == "int" and isinstance(value, bool))):
            raise refusal(
                "invalid_request", f"json: cannot unmarshal {json_type(value)} into {name} of type {expected}"
            )


def check_request(model: Model, payload: Mapping[str, Any]) -> None:
    """Refuse values that a model doesn't accept; unknown fields pass."""
    if model.modality == "music":
        check_music(model.name, payload)
        return
    if model.prompt_required and not str(payload.get("prompt") or "").strip():
        raise refusal("prompt_required")
    references = list(reference_urls(payload))
    for url in references:
        _check_url(url)
    if len(references) > model.max_references:
        raise _build_failed(f"too many images: {len(references)}, allowed: {model.max_references}")
    if not model.prompt_required and not references:
        raise refusal("invalid_request", "image_urls is required")
    _check_ranges(model, payload)


def _check_ranges(model: Model, payload: Mapping[str, Any]) -> None:
    for name in ("size", "aspect_ratio"):
        _check_choice(name, payload.get(name), model.sizes)
    _check_choice("resolution", payload.get("resolution"), tuple(model.resolutions))
    _check_choice("duration", payload.get("duration"), tuple(sorted(model.durations)))
    for name, schema in model.extras.items():
        if payload.get(name) is not None:
            check_field(name, payload[name], schema)
    n = payload.get("n")
    if n is not None and not 1 <= n <= model.max_n:
        raise _build_failed(f"invalid n: {n}, allowed: 1 - {model.max_n}")


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value is not None and allowed and value not in allowed:
        raise _build_failed(f"invalid {name}: {value}, allowed: {' / '.join(map(str, allowed))}")


def _build_failed(reason: str) -> Exception:
    return refusal("build_request_failed", f"build_request_failed: {reason}")


def reference_urls(payload: Mapping[str, Any]) -> Iterable[object]:
    """Iterate over a request's reference images, written as strings or as ``{"url": ...}``."""
    for name in ("image_urls", "image_with_roles"):
        for item in payload.get(name) or ():
            yield item.get("url") if isinstance(item, dict) else item
    if payload.get("mask_url"):
        yield payload["mask_url"]


def _check_url(url: object) -> None:
    if not isinstance(url, str):
        raise refusal("invalid_request", f"json: cannot unmarshal {json_type(url)} into image_urls of type string")
    if url.startswith("data:") or _is_base64(url):
        raise refusal("invalid_request", "base64 images are no longer supported, upload them to /v1/uploads/images")
    if not _is_web_address(url):
        raise refusal("invalid_request", f"invalid image url: {url[:200]}")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_base64(text: str) -> bool:
    try:
        return len(text) > 64 and bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
