"""What a request refers to: the fields that name pictures, clips and sounds, and the files among what they name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

_URL = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]{200,}")
_EMBEDDED = re.compile(r"\s*(data:[^,]*,|file://)", re.IGNORECASE)

_REFERENCES = re.compile(r"(^|_)urls?$|^image_with_roles$")
# A URL that APIMart calls when it is done, not one that it fetches.
_NO_REFERENCES = frozenset({"webhook_url"})
# A prompt may speak of anything, also of data: and file:// URLs.
_PROSE = frozenset({"prompt", "negative_prompt"})
_CLIPS_AND_SOUNDS = re.compile(r"(^|_)(video|audio)s?_urls?$")

Leaf = Callable[[str, str, Any], Any]


def rewritten(place: str, field: str, value: Any, leaf: Leaf) -> Any:
    """
    Return a value as plain objects and lists, whatever lazy mapping or sequence it came as.

    :param place: Where in the request it stands.
    :param field: The name of the field that it belongs to; an item of a list belongs to the list's.
    :param leaf: Called with place, field and value of whatever is no object and no list, and returns its replacement.
    """
    match value:
        case Mapping():
            return {str(name): rewritten(f"{place}.{name}", str(name), item, leaf) for name, item in value.items()}
        case Sequence() if not isinstance(value, str | bytes | bytearray):
            return [rewritten(f"{place}[{index}]", field, item, leaf) for index, item in enumerate(value)]
    return leaf(place, field, value)


def names_references(field: str) -> bool:
    """Whether a field holds what APIMart fetches."""
    return field not in _NO_REFERENCES and _REFERENCES.search(field) is not None


def is_path(value: object) -> bool:
    """Whether a value is a path object: of :mod:`pathlib`, or of an object storage, which need be no ``PathLike``."""
    return isinstance(value, os.PathLike) or hasattr(value, "as_posix")


def with_files_renamed(payload: Mapping[str, Any], name: Callable[[str, Any], str]) -> dict[str, Any]:
    """
    Return a request with every reference replaced that is no URL.

    :param payload: The body, as :func:`~airflow_provider_apimart.api.payload.build_payload` returns it.
    :param name: Called with place and value of each, and returns what to write instead.
    """

    def leaf(place: str, field: str, value: Any) -> Any:
        is_file = names_references(field) and value is not None and not _is_url(value)
        return name(place, value) if is_file else value

    return {field: rewritten(field, field, value, leaf) for field, value in payload.items()}


def check_references(payload: Mapping[str, Any], *, with_files: bool) -> None:
    """
    Refuse a request that refers to what can't be sent.

    :param with_files: Whether references may name files.
    :raises ApimartInvalidRequestError: Naming the place, what it holds and what to do.
    """
    check = _check_url_or_file if with_files else _check_url

    def leaf(place: str, field: str, value: Any) -> None:
        if not names_references(field):
            _check_other_field(place, field, value)
        elif _is_given(place, value) and not _is_url(value):
            check(place, field, value)

    for field, value in payload.items():
        rewritten(field, field, value, leaf)


def refused(why: str) -> ApimartInvalidRequestError:
    """Return the error of a request that can't be right."""
    return ApimartInvalidRequestError(f"The generation can't be right: {why}. Nothing was sent and nothing charged.")


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.match(value.strip()) is not None


def _is_given(place: str, value: Any) -> bool:
    if value is None and place.endswith("]"):
        raise refused(f"{place} is None; did the task that should give the URL push nothing?")
    return value is not None


def _check_url(place: str, field: str, value: Any) -> None:
    if not isinstance(value, str) and not is_path(value):
        raise refused(f"{place} must be a URL, not {type(value).__name__}")
    raise refused(
        f"{place} holds {_described(value)}, but APIMart takes public http(s) URLs only; set upload_references=True on "
        "the operator, or upload the file first with ApimartUploadImageOperator and use its output"
    )


def _check_url_or_file(place: str, field: str, value: Any) -> None:
    if not isinstance(value, str) and not is_path(value):
        raise refused(f"{place} must be a URL or a path, not {type(value).__name__}")
    if _CLIPS_AND_SOUNDS.search(field):
        raise refused(
            f"{place} holds {_described(value)}, but only pictures can be uploaded to APIMart; clips and sounds must "
            "lie at public http(s) URLs"
        )
    if isinstance(value, str) and _holds_data(value.strip()):
        raise refused(f"{place} holds {_described(value)}, which is neither an http(s) URL nor the path of a file")


def _check_other_field(place: str, field: str, value: Any) -> None:
    if field not in _PROSE and isinstance(value, str) and _EMBEDDED.match(value):
        raise refused(
            f"{place} holds {_described(value)}, but APIMart takes public http(s) URLs only; upload the file first "
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
    return f"no URL but {without_query(text)[:100]!r}" if text else "an empty text"
