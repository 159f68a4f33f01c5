"""Items of a batch, all checked before the first one is submitted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.payload import build_payload, given_parameters, is_absent
from airflow_provider_apimart.api.plain_values import LONGEST_NAME, is_gap, short_name, unwrapped
from airflow_provider_apimart.api.rendered_values import rendered_value
from airflow_provider_apimart.durable.garbage_collection import collection_paused
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

_MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class BatchItem:
    """
    One generation of a batch.

    :param id: The user's name of it, by default its position.
    :param position: Its place in the batch, from 0.
    """

    id: str
    position: int
    request: PaidRequest

    @property
    def prompt(self) -> str | None:
        """The prompt of its request."""
        prompt: str | None = self.request.payload.get("prompt")
        return prompt


@dataclass(frozen=True)
class UnreadableLine:
    """
    A line of a file that is not JSON.

    :param number: Its number, from 1.
    :param start: Its first characters.
    :param why: The error of the JSON parser.
    """

    number: int
    start: str
    why: str


@dataclass(frozen=True)
class Shared:
    """
    Defaults of all items; an item's own fields take precedence.

    :param account: The connection's id.
    :param arguments: Fields of the request that have a default.
    :param parameters: Further fields that the models take, also as the text that a template rendered.
    :param request: Builds a request from account, modality and payload where references may name files, and reads the
        files. ``None`` where references must be URLs.
    """

    account: str
    modality: Modality
    arguments: Mapping[str, Any]
    parameters: Mapping[str, Any] | str | None = None
    request: Callable[[str, Modality, Mapping[str, Any]], PaidRequest] | None = None


@collection_paused(for_good=True)
def read_items(written: Iterable[object], shared: Shared) -> list[BatchItem]:
    """
    Return the items of a batch.

    :param written: One mapping an item: ``id``, ``modality``, ``parameters``, and fields of the request under
        APIMart's names.
    :raises ApimartInvalidRequestError: With all invalid items, by id and reason. Nothing was sent.
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
            wrong.append(_described(name, error))
    if wrong:
        raise _refused(wrong)
    return list(items.values())


def parse_lines(text: str) -> Iterator[object]:
    """Return the values of a JSON Lines text; empty lines are left out."""
    # splitlines() would split at characters that are allowed inside a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield UnreadableLine(number, line.strip()[:40], str(error))


def parse_rendered(text: str) -> Iterable[object] | None:
    """Return the list that a template rendered to text, ``None`` if it is none."""
    found = rendered_value(text)
    return found if isinstance(found, list) else None


class _WrongItemError(ValueError):
    """A predicate about an invalid item, such as "has the same id as another"."""


def _described(name: str, error: _WrongItemError | ApimartInvalidRequestError) -> str:
    if isinstance(error, _WrongItemError):
        return f"{name} {error}"
    return f"{name} {error.predicate}" if error.predicate else f"{name}: {error.reason}"


def _item(written: object, position: int, shared: Shared) -> BatchItem:
    if isinstance(written, UnreadableLine):
        raise _WrongItemError(f"(line {written.number}) is not JSON: {written.why}")
    if not isinstance(written, Mapping):
        raise _WrongItemError(f"is {type(written).__name__}, not an object with a prompt or other fields")
    _check_names(written)
    fields = {name: value for name, value in written.items() if value is None or not _is_absent(name, value)}
    name = _id(fields.pop("id", None), position)
    modality = _modality(fields.pop("modality", None), shared)
    parameters = _parameters(fields.pop("parameters", None), fields, shared)
    arguments = {name: value for name, value in shared.arguments.items() if name not in parameters} | fields
    payload = build_payload(arguments, parameters, with_files=shared.request is not None)
    request = (shared.request or PaidRequest)(shared.account, modality, payload)
    _check_text(request.payload)
    return BatchItem(name, position, request)


def _is_absent(name: str, value: object) -> bool:
    # An id is never made up for one that was written, even if it is blank.
    return is_gap(value) if name == "id" else is_absent(name, value)


def _check_names(names: Iterable[object]) -> None:
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise _WrongItemError(f"has the field name {wrong[0]!r}, a {type(wrong[0]).__name__} instead of a text")


def _check_text(payload: Mapping[str, Any]) -> None:
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise _WrongItemError(f"holds {half!r}, half a character that cannot be encoded in UTF-8") from error


def _id(value: object, position: int) -> str:
    value = unwrapped(value)
    name = str(position) if value is None else short_name(value)
    if name is None:
        raise _WrongItemError(f"has the id {value!r}, which is not a text of 1 to {LONGEST_NAME} printable characters")
    return name


def _modality(value: object, shared: Shared) -> Modality:
    value = unwrapped(value)
    if value is None:
        return shared.modality
    if not isinstance(value, str) or value not in set(Modality):
        raise _WrongItemError(f"has the modality {value!r}; allowed are {', '.join(Modality)}")
    return Modality(value)


def _parameters(value: object, fields: Mapping[str, Any], shared: Shared) -> dict[str, Any]:
    inherited = {name: each for name, each in given_parameters(shared.parameters).items() if name not in fields}
    return {**inherited, **given_parameters(value)}


def _named(written: object, position: int) -> str:
    own = written.get("id") if isinstance(written, Mapping) else None
    return f"Item {position}" if is_gap(own) else f"Item {str(unwrapped(own))[:LONGEST_NAME]!r}"


def _refused(wrong: list[str]) -> ApimartInvalidRequestError:
    more = f"\n... and {len(wrong) - _MOST_LISTED:,} more" if len(wrong) > _MOST_LISTED else ""
    listed = "\n".join(f"- {each}" for each in wrong[:_MOST_LISTED])
    return ApimartInvalidRequestError(
        f"{len(wrong):,} invalid {'item' if len(wrong) == 1 else 'items'}. Nothing was sent:\n{listed}{more}"
    )
