"""The body of a generation request: built from what a DAG says, and refused where it can't be right."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.references import check_references, is_path, names_references, refused, rewritten

# What the contract wants as JSON numbers. Templates render to strings, and the service refuses a quoted number.
NUMERIC_FIELDS = frozenset({"n", "duration", "seed"})

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def build_payload(
    arguments: Mapping[str, Any], parameters: Mapping[str, Any] | None, *, with_files: bool = False
) -> dict[str, Any]:
    """
    Return the body of a generation request.

    :param arguments: The operator's own arguments under the service's names; ``None`` leaves one out.
    :param parameters: Whatever else the model takes, passed through.
    :param with_files: Whether references may name files, which stay as they are: whoever sends the request uploads
        them first, see :mod:`airflow_provider_apimart.hooks.reference_files`.
    :raises ApimartInvalidRequestError: If it can't be right, before anything is sent, naming the field.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    passed_through = _checked_parameters(parameters)
    if twice := sorted(given.keys() & passed_through.keys()):
        raise refused(f"{', '.join(twice)} given both as an argument and in parameters; say it once")
    payload = _plain(given | passed_through)
    payload = {name: _as_number(name, value) for name, value in payload.items()}
    _check_model(payload)
    _check_prompt(payload)
    check_references(payload, with_files=with_files)
    return payload


def prompt_sha256(prompt: object) -> str | None:
    """Return the hexadecimal digits of a prompt's SHA-256: what it is known by where it must not be told."""
    return hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest() if isinstance(prompt, str) else None


def _checked_parameters(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) for name in parameters):
        raise refused(f"parameters must be a mapping from names to values, not {type(parameters).__name__}")
    return dict(parameters)


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {name: rewritten(name, name, value, _json) for name, value in given.items()}
    except RecursionError:
        raise refused("it is nested without end") from None


def _json(place: str, field: str, value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if value == value and abs(value) != float("inf"):
            return value
    if names_references(field) and is_path(value):
        return value
    raise refused(f"{place} holds {type(value).__name__}, which isn't JSON")


def _as_number(name: str, value: Any) -> Any:
    if name not in NUMERIC_FIELDS or not isinstance(value, str):
        return value
    written = value.strip()
    if not _NUMBER.fullmatch(written):
        raise refused(f"{name} must be a number, not {value!r}")
    return float(written) if "." in written else int(written)


def _check_model(payload: Mapping[str, Any]) -> None:
    model = payload.get("model")
    if not isinstance(model, str) or not model.strip():
        raise refused("it names no model")


def _check_prompt(payload: Mapping[str, Any]) -> None:
    prompt = payload.get("prompt")
    if prompt is None and payload.keys() <= {"model"} | NUMERIC_FIELDS | {
        "size",
        "resolution",
        "quality",
        "aspect_ratio",
    }:
        raise refused("it has neither a prompt nor anything else to make a result from")
    if prompt is not None and (not isinstance(prompt, str) or not prompt.strip()):
        raise refused("its prompt is empty; leave the argument out for a model that needs none")


def requested_outputs(modality: Modality, payload: Mapping[str, Any]) -> int | None:
    """
    Return how many outputs a request asks for: its ``n``, by default one image or video.

    :return: ``None`` where it is unknown, as for music.
    """
    n = payload.get("n", None if modality is Modality.MUSIC else 1)
    return n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else None
