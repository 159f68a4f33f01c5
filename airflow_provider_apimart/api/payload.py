"""The body of a generation request: built from what a DAG says, and refused where it can't be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

# What the contract wants as JSON numbers. Templates render to strings, and the service refuses a quoted number.
NUMERIC_FIELDS = frozenset({"n", "duration", "seed"})

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_URL = re.compile(r"https?://[^\s/]+", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BASE64_LENGTH = 200

# A URL that APIMart calls when it is done, not one that it fetches.
_NO_REFERENCES = frozenset({"webhook_url"})
# A prompt may speak of anything, also of data: and file:// URLs.
_PROSE = frozenset({"prompt", "negative_prompt"})
_EMBEDDED = re.compile(r"\s*(data:[^,]*,|file://)", re.IGNORECASE)


def build_payload(arguments: Mapping[str, Any], parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return the body of a generation request.

    :param arguments: The operator's own arguments under the service's names; ``None`` leaves one out.
    :param parameters: Whatever else the model takes, passed through.
    :raises ApimartInvalidRequestError: If it can't be right, before anything is sent, naming the field.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    passed_through = _checked_parameters(parameters)
    if twice := sorted(given.keys() & passed_through.keys()):
        raise _refused(f"{', '.join(twice)} given both as an argument and in parameters; say it once")
    payload = _plain(given | passed_through)
    payload = {name: _as_number(name, value) for name, value in payload.items()}
    _check_model(payload)
    _check_prompt(payload)
    for field, value in payload.items():
        for place, name, text in _texts(field, field, value):
            _check_text(place, name, text)
    return payload


def _refused(why: str) -> ApimartInvalidRequestError:
    return ApimartInvalidRequestError(f"The generation can't be right: {why}. Nothing was sent and nothing charged.")


def _checked_parameters(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise _refused(f"parameters must be a mapping from names to values, not {type(parameters).__name__}")
    return dict(parameters)


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: _json(name, value) for name, value in given.items()}
    except RecursionError:
        raise _refused("it is nested without end") from None


def _json(place: str, value: Any) -> Any:
    """Return a value as plain JSON, whatever lazy sequence or mapping it came as through XCom."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if value == value and abs(value) != float("inf"):
            return value
        case Mapping():
            return {str(name): _json(f"{place}.{name}", item) for name, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_json(f"{place}[{index}]", item) for index, item in enumerate(value)]
    raise _refused(f"{place} holds {type(value).__name__}, which isn't JSON")


def _as_number(name: str, value: Any) -> Any:
    if name not in NUMERIC_FIELDS or not isinstance(value, str):
        return value
    written = value.strip()
    if not _NUMBER.fullmatch(written):
        raise _refused(f"{name} must be a number, not {value!r}")
    return float(written) if "." in written else int(written)


def _check_model(payload: Mapping[str, Any]) -> None:
    model = payload.get("model")
    if not isinstance(model, str) or not model.strip():
        raise _refused("it names no model")


def _check_prompt(payload: Mapping[str, Any]) -> None:
    prompt = payload.get("prompt")
    if prompt is None and payload.keys() <= {"model"} | NUMERIC_FIELDS | {
        "size",
        "resolution",
        "quality",
        "aspect_ratio",
    }:
        raise _refused("it has neither a prompt nor anything else to make a result from")
    if prompt is not None and (not isinstance(prompt, str) or not prompt.strip()):
        raise _refused("its prompt is empty; leave the argument out for a model that needs none")


def _texts(place: str, field: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    """Go through everything that isn't a list or an object, with its place and the name of its field."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(f"{place}.{name}", name, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(f"{place}[{index}]", field, item)
    else:
        yield place, field, value


def _check_text(place: str, field: str, value: Any) -> None:
    if _names_a_url(field) or (field not in _PROSE and isinstance(value, str) and _EMBEDDED.match(value)):
        _check_url(place, value)


def _names_a_url(field: str) -> bool:
    return field not in _NO_REFERENCES and re.search(r"(^|_)urls?$|^image_with_roles$", field) is not None


def _check_url(place: str, url: Any) -> None:
    if url is None and not place.endswith("]"):
        return
    if url is None:
        raise _refused(f"{place} is None; did the task that should give the URL push nothing?")
    if not isinstance(url, str):
        raise _refused(f"{place} must be a URL, not {type(url).__name__}")
    if not _URL.match(url.strip()):
        raise _refused(
            f"{place} holds {_described(url.strip())}, but APIMart takes public http(s) URLs only; upload the "
            "file first with ApimartUploadImageOperator and use its output"
        )


def _described(text: str) -> str:
    if text.lower().startswith("data:"):
        return "a data: URL"
    if scheme := _ANY_SCHEME.match(text):
        return f"a {scheme[1]}:// URL ({text[:100]!r})"
    if len(text) >= _BASE64_LENGTH and re.fullmatch(r"[A-Za-z0-9+/=_\s-]+", text):
        return "base64 data"
    return f"no URL but {text[:100]!r}" if text else "an empty text"
