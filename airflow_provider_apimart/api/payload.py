"""Body of a generation request: built from an operator's arguments, or refused before anything is sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.plain_values import is_gap, unwrapped
from airflow_provider_apimart.api.reference_fields import (
    PROSE,
    check_references,
    is_path,
    names_references,
    refused,
    rewritten,
)
from airflow_provider_apimart.api.rendered_values import is_nothing, rendered_value

# Fields that the contract defines as JSON numbers. Templates render to text, and APIMart refuses a quoted number.
NUMERIC_FIELDS = frozenset({"n", "duration", "seed"})

# Fields that the contract defines as true or false.
_SWITCHES = frozenset({"instrumental"})
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_LISTS = re.compile(r"(^|_)urls$|^image_with_roles$")
_MAKES_NOTHING = frozenset({"model", "size", "resolution", "quality", "aspect_ratio"}) | NUMERIC_FIELDS


def build_payload(
    arguments: Mapping[str, Any], parameters: Mapping[str, Any] | str | None, *, with_files: bool = False
) -> dict[str, Any]:
    """
    Return the body of a generation request as plain JSON.

    Missing values (``None``, NaN, ``pandas.NA``, the empty cell of a CSV) leave a field out. Whole numbers that came as
    floats or text become integers, and values of numpy, pandas and :mod:`decimal` become JSON. Lists and objects that a
    template rendered to text are read back. A prompt that native rendering turned into a number or an object becomes
    text again.

    :param arguments: The operator's arguments under APIMart's names.
    :param parameters: Further fields that the model takes. A ``None`` among them is sent as ``null``.
    :param with_files: Whether references may name files. They stay in the body as they are; the sender uploads them
        first, see :mod:`airflow_provider_apimart.hooks.reference_files`.
    :raises ApimartInvalidRequestError: If the request is invalid, with the field's name. Nothing was sent.
    """
    given = {name: value for name, value in arguments.items() if not is_absent(name, value)}
    if isinstance(given.get("image_urls"), str) or is_path(given.get("image_urls")):
        given["image_urls"] = rendered_list(given["image_urls"]) or [given["image_urls"]]
    passed_through = given_parameters(parameters)
    if twice := sorted(given.keys() & passed_through.keys()):
        raise refused(f"{', '.join(twice)} given both as an argument and in parameters")
    payload = _plain({name: _converted(name, value) for name, value in (given | passed_through).items()})
    payload = {name: _as_switch(name, _as_number(name, value)) for name, value in payload.items()}
    _check_model(payload)
    _check_prompt(payload)
    check_references(payload, with_files=with_files)
    return payload


def is_absent(name: str, value: object) -> bool:
    """
    Return whether a field has no value: a missing one, or blank text, which a CSV has in place of one.

    A blank model, prompt or reference is not absent, since leaving it out would make something else.
    """
    is_blank = isinstance(value, str) and not value.strip()
    return is_gap(value) or (is_blank and name not in PROSE | {"model"} and not names_references(name))


def given_parameters(parameters: object) -> dict[str, Any]:
    """
    Return further fields of a request as a dictionary, also from the text that a template rendered.

    :raises ApimartInvalidRequestError: If they are no mapping from names to values.
    """
    if is_gap(parameters):
        return {}
    found = rendered_value(parameters) if isinstance(parameters, str) else parameters
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise refused(f"parameters must be a mapping from names to values, not {type(parameters).__name__}")
    return dict(found)


def rendered_list(value: object) -> list[Any] | None:
    """Return the list that a template rendered to text, a single object as its only item, else ``None``."""
    found = rendered_value(value) if isinstance(value, str) else None
    if found is None:
        return None
    return [found] if isinstance(found, Mapping) else list(found)


def prompt_sha256(prompt: object) -> str | None:
    """Return the hexadecimal SHA-256 of a prompt, which identifies it where the prompt itself must not appear."""
    return hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest() if isinstance(prompt, str) else None


def _converted(name: str, value: Any) -> Any:
    if name in PROSE:
        return _as_text(name, value)
    if _LISTS.search(name) and names_references(name) and (found := rendered_list(value)) is not None:
        return found
    return value


def _as_text(name: str, value: Any) -> Any:
    """Return a prompt that is text again if native rendering or a file of items made it a number or an object."""
    if isinstance(value, str) or is_gap(value):
        return value
    if isinstance(value, Mapping) and value:
        return json.dumps(_plain(value), ensure_ascii=False)
    if isinstance(value, int | float | Decimal | date) and not isinstance(value, bool):
        return str(value)
    plain = unwrapped(value)
    if isinstance(plain, int | float | str) and not isinstance(plain, bool):
        return str(plain)
    raise refused(f"{name} must be a text, not {type(value).__name__}")


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {
            name: rewritten(name, name, value, _json)
            for name, value in given.items()
            if value is None or not is_gap(value)
        }
    except RecursionError:
        raise refused("it is nested too deeply") from None


def _json(place: str, field: str, value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if value == value and abs(value) != float("inf"):
            return value
    if names_references(field) and is_path(value):
        return value
    described = repr(value) if isinstance(value, float) else type(value).__name__
    raise refused(f"{place} holds {described}, which is not JSON")


def _as_number(name: str, value: Any) -> Any:
    if name not in NUMERIC_FIELDS or value is None:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    written = value.strip() if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(written):
        raise refused(f"{name} must be a number, not {value!r:.100}")
    return unwrapped(float(written)) if "." in written else int(written)


def _as_switch(name: str, value: Any) -> Any:
    written = value.strip().lower() if isinstance(value, str) and name in _SWITCHES else None
    return value if written not in ("true", "false") else written == "true"


def _check_model(payload: Mapping[str, Any]) -> None:
    model = payload.get("model")
    if not isinstance(model, str) or not model.strip():
        raise refused("has no model", of_request=True)


def _check_prompt(payload: Mapping[str, Any]) -> None:
    prompt = payload.get("prompt")
    if prompt is None and payload.keys() <= _MAKES_NOTHING:
        raise refused("has neither a prompt nor any other input", of_request=True)
    if prompt is not None and (not isinstance(prompt, str) or not prompt.strip()):
        raise refused("has an empty prompt; leave the argument out for a model that needs none", of_request=True)
    for name in sorted(PROSE):
        written = payload.get(name)
        if isinstance(written, str) and written.strip() and is_nothing(written):
            # What str() and pandas make of a gap.
            raise refused(f"{name} is {written!r}, the text of a missing value")


def requested_outputs(modality: Modality, payload: Mapping[str, Any]) -> int | None:
    """
    Return how many outputs a request asks for: its ``n``, by default one image or video.

    :return: ``None`` where it is unknown, as for music.
    """
    n = payload.get("n", None if modality is Modality.MUSIC else 1)
    return n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else None
