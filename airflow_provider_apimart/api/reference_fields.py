"""References of a request: the fields that name images, videos and audio, and the files among their values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_apimart.api.plain_values import is_gap, unwrapped
from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

_URL = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]{200,}")
_EMBEDDED = re.compile(r"\s*(data:[^,]*,|file://)", re.IGNORECASE)

_REFERENCES = re.compile(r"(^|_)urls?$|^image_with_roles$")
# APIMart calls this URL when the generation ends; it does not fetch it.
_NO_REFERENCES = frozenset({"webhook_url"})
# Fields of free text, which may mention data: and file:// URLs.
PROSE = frozenset({"prompt", "negative_prompt"})
_VIDEO_AND_AUDIO = re.compile(r"(^|_)(video|audio)s?_urls?$")

Leaf = Callable[[str, str, Any], Any]


def rewritten(place: str, field: str, value: Any, leaf: Leaf) -> Any:
    """
    Return a value as plain dictionaries and lists, whatever mapping, sequence or array it came as.

    Missing values (NaN, ``pandas.NA``) in a mapping are left out; a ``None`` stays.

    :param place: Its place in the request, such as ``image_urls[0].url``.
    :param field: The name of its field; an item of a list has the list's.
    :param leaf: Called with place, field and each value that is neither, and returns the replacement.
    """
    match value := unwrapped(value):
        case str() | bytes() | bytearray():
            return leaf(place, field, value)
        case Mapping():
            return {
                str(name): rewritten(f"{place}.{name}", str(name), item, leaf)
                for name, item in value.items()
                if item is None or not is_gap(item)
            }
        case Sequence():
            return [rewritten(f"{place}[{index}]", field, item, leaf) for index, item in enumerate(value)]
    return leaf(place, field, value)


def names_references(field: str) -> bool:
    """Return whether a field holds URLs that APIMart fetches."""
    return field not in _NO_REFERENCES and _REFERENCES.search(field) is not None


def is_path(value: object) -> bool:
    """Return whether a value is a path of :mod:`pathlib` or of an object storage, which may be no ``PathLike``."""
    return isinstance(value, os.PathLike) or hasattr(value, "as_posix")


def with_files_renamed(payload: Mapping[str, Any], name: Callable[[str, Any], str]) -> dict[str, Any]:
    """
    Return a request with every reference that is no URL replaced.

    :param payload: The body, as :func:`~airflow_provider_apimart.api.payload.build_payload` returns it.
    :param name: Called with place and value of each, and returns the replacement.
    """

    def leaf(place: str, field: str, value: Any) -> Any:
        is_file = names_references(field) and value is not None and not _is_url(value)
        return name(place, value) if is_file else value

    return {field: rewritten(field, field, value, leaf) for field, value in payload.items()}


def check_references(payload: Mapping[str, Any], *, with_files: bool) -> None:
    """
    Check that every reference of a request can be sent.

    :param with_files: Whether references may name files.
    :raises ApimartInvalidRequestError: If one cannot, with its place, its value and what to do.
    """
    check = _check_url_or_file if with_files else _check_url

    def leaf(place: str, field: str, value: Any) -> None:
        if not names_references(field):
            _check_other_field(place, field, value)
        elif _is_given(place, value) and not _is_url(value):
            check(place, field, value)

    for field, value in payload.items():
        rewritten(field, field, value, leaf)


def refused(reason: str, *, of_request: bool = False) -> ApimartInvalidRequestError:
    """
    Return the error of an invalid request.

    :param of_request: Whether the reason is a predicate whose subject is the request, such as "has no model".
    """
    clause = f"it {reason}" if of_request else reason
    error = ApimartInvalidRequestError(f"Invalid request: {clause}. Nothing was sent", reason=clause)
    error.predicate = reason if of_request else None
    return error


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.match(value.strip()) is not None


def _is_given(place: str, value: Any) -> bool:
    if value is None and place.endswith("]"):
        raise refused(f"{place} is None; the task that should return the URL returned nothing")
    return value is not None


def _check_url(place: str, field: str, value: Any) -> None:
    if not isinstance(value, str) and not is_path(value):
        raise refused(f"{place} must be a URL, not {type(value).__name__}")
    raise refused(
        f"{place} holds {_described(value)}, but APIMart accepts public http(s) URLs only; set upload_references=True "
        "on the operator, or upload the file first with ApimartUploadImageOperator and use its output"
    )


def _check_url_or_file(place: str, field: str, value: Any) -> None:
    if not isinstance(value, str) and not is_path(value):
        raise refused(f"{place} must be a URL or a path, not {type(value).__name__}")
    if _VIDEO_AND_AUDIO.search(field):
        raise refused(
            f"{place} holds {_described(value)}, but only images can be uploaded to APIMart; videos and audio must "
            "be public http(s) URLs"
        )
    if isinstance(value, str) and _holds_data(value.strip()):
        raise refused(f"{place} holds {_described(value)}, which is neither an http(s) URL nor the path of a file")


def _check_other_field(place: str, field: str, value: Any) -> None:
    if field not in PROSE and isinstance(value, str) and _EMBEDDED.match(value):
        raise refused(
            f"{place} holds {_described(value)}, but APIMart accepts public http(s) URLs only; upload the file first "
            "with ApimartUploadImageOperator and use its output"
        )


def _holds_data(text: str) -> bool:
    return not text or text.lower().startswith("data:") or _BASE64.fullmatch(text) is not None


def _described(value: Any) -> str:
    text = str(value).strip()
    if text.lower().startswith("data:"):
        return "a data: URL"
    if scheme := _ANY_SCHEME.match(text):
        return f"a {scheme[1]}:// URL ({without_query(text)[:100]!r})"
    if _BASE64.fullmatch(text):
        return "base64 data"
    return f"{without_query(text)[:100]!r}, which is no URL" if text else "an empty text"
