"""The items of a batch: what a user wrote, checked as a whole before the first one is paid for."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.durable.identity import PaidRequest
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

_MOST_TOLD = 100
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class BatchItem:
    """
    One generation of a batch.

    :param id: What the user calls it, or else its position.
    :param position: Where it stands in the batch, from 0.
    """

    id: str
    position: int
    request: PaidRequest

    @property
    def prompt(self) -> str | None:
        """What it asks for."""
        prompt: str | None = self.request.payload.get("prompt")
        return prompt


@dataclass(frozen=True)
class Unreadable:
    """
    A line that holds no item.

    :param why: What is wrong with it.
    """

    why: str


@dataclass(frozen=True)
class Shared:
    """
    What all items have in common; what an item says itself goes before it.

    :param account: The connection's id.
    :param arguments: Fields of the request, ``None`` for those that aren't shared.
    :param parameters: Whatever else the models take.
    :param request: Makes a request of account, modality and payload where references may name files: it reads them.
        ``None`` where they are URLs.
    """

    account: str
    modality: Modality
    arguments: Mapping[str, Any]
    parameters: Mapping[str, Any] | None = None
    request: Callable[[str, Modality, Mapping[str, Any]], PaidRequest] | None = None


def read_items(written: Iterable[object], shared: Shared) -> list[BatchItem]:
    """
    Return the items of a batch.

    :param written: One mapping an item: ``id``, ``modality``, ``parameters``, and fields of the request under
        APIMart's names.
    :raises ApimartInvalidRequestError: With all items that can't be right, by id and reason. Nothing was sent.
    """
    items: dict[str, BatchItem] = {}
    wrong: list[str] = []
    for position, each in enumerate(written):
        name = _named(each, position)
        try:
            item = _item(each, position, shared)
            if item.id in items:
                raise _WrongItemError(f"has the same id as the item at position {items[item.id].position}")
            items[item.id] = item
        except (_WrongItemError, ApimartInvalidRequestError) as error:
            wrong.append(f"{name} {_reason(error)}")
    if wrong:
        raise _refused(wrong)
    return list(items.values())


def parse_lines(text: str) -> Iterator[object]:
    """Return what the lines of a JSON Lines text hold; empty lines hold nothing."""
    # Not splitlines(): it splits at characters that may stand inside of a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Unreadable(f"(line {number}) is no JSON: {error}")


def parse_rendered(text: str) -> Iterable[object] | None:
    """Return the list that a template has rendered to text, ``None`` if it is none."""
    if text.lstrip().startswith("["):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                found = read(text)
                return found if isinstance(found, list) else None
    return None


class _WrongItemError(ValueError):
    """Something about an item can't be right."""


def _reason(error: Exception) -> str:
    if isinstance(error, ApimartInvalidRequestError):
        return error.message.removeprefix("The generation can't be right: ").split(". Nothing was sent")[0]
    return str(error)


def _item(written: object, position: int, shared: Shared) -> BatchItem:
    if isinstance(written, Unreadable):
        raise _WrongItemError(written.why)
    if not isinstance(written, Mapping):
        raise _WrongItemError(f"is {type(written).__name__}, not an object with a prompt or other fields")
    fields = dict(written)
    _check_names(fields)
    name = _id(fields.pop("id", None), position)
    modality = _modality(fields.pop("modality", None), shared)
    parameters = _parameters(fields.pop("parameters", None), fields, shared)
    arguments = {name: value for name, value in shared.arguments.items() if name not in parameters} | fields
    if isinstance(arguments.get("image_urls"), str):
        arguments["image_urls"] = [arguments["image_urls"]]
    payload = build_payload(arguments, parameters, with_files=shared.request is not None)
    request = (shared.request or PaidRequest)(shared.account, modality, payload)
    _check_text(request.payload)
    return BatchItem(name, position, request)


def _check_names(names: Iterable[object]) -> None:
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise _WrongItemError(f"has the field name {wrong[0]!r}, which is {type(wrong[0]).__name__} and no text")


def _check_text(payload: Mapping[str, Any]) -> None:
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise _WrongItemError(f"holds {half!r}, half a character that can't be written in UTF-8") from error


def _id(value: object, position: int) -> str:
    if value is None:
        return str(position)
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name or len(name) > _LONGEST_ID or not name.isprintable():
        raise _WrongItemError(f"has the id {value!r}, which is no text of 1 to {_LONGEST_ID} printable characters")
    return name


def _modality(value: object, shared: Shared) -> Modality:
    if value is None:
        return shared.modality
    if not isinstance(value, str) or value not in set(Modality):
        raise _WrongItemError(f"has the modality {value!r}; it is one of {', '.join(Modality)}")
    return Modality(value)


def _parameters(value: object, fields: Mapping[str, Any], shared: Shared) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise _WrongItemError(f"has parameters that are no object but {type(value).__name__}")
    own: Mapping[str, Any] = value or {}
    inherited = {name: each for name, each in (shared.parameters or {}).items() if name not in fields}
    return {**inherited, **own}


def _named(written: object, position: int) -> str:
    own = written.get("id") if isinstance(written, Mapping) else None
    return f"item {str(own)[:_LONGEST_ID]!r}" if own is not None else f"item {position}"


def _refused(wrong: list[str]) -> ApimartInvalidRequestError:
    more = f"\n... and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
    listed = "\n".join(f"- {each}" for each in wrong[:_MOST_TOLD])
    return ApimartInvalidRequestError(
        f"{len(wrong)} of the batch's items can't be right. Nothing was sent and nothing charged; mend them:\n"
        f"{listed}{more}"
    )
