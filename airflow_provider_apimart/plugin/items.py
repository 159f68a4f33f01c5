"""
Items as the pages show them, read from the lines of ledgers and from entries of the index.

Whatever wrote a line, perhaps another version of the provider or a person, each field is read on its own. A field that can't
be read is missing, and an unknown status is shown as it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from sys import intern
from typing import Any

from airflow_provider_apimart.api.json_values import items, mapping, money, moment, number, text

_LONGEST_SEARCHED = 4000
_FAILURES = ("failed", "refused", "moderated", "unknown")


@dataclass(frozen=True, slots=True)
class File:
    """
    A saved file that a ledger names.

    :param bytes: Its size when it was saved, ``None`` if unknown.
    :param sha256: The SHA-256 of its content when it was saved.
    """

    uri: str
    media_type: str
    bytes: int | None = None
    sha256: str | None = None

    @property
    def kind(self) -> str:
        """``image``, ``video`` or ``audio``."""
        return self.media_type.partition("/")[0]

    @property
    def name(self) -> str:
        """Name of the file without its directory."""
        return self.uri.rstrip("/").rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Item:
    """
    One item of a batch, or one generation.

    :param id: The user's own id of it.
    :param key: Digest of the id, which stands for it in addresses.
    :param cost: US dollars, earlier generations of the item included; ``None`` if APIMart reported none.
    :param quoted: US dollars of its quote.
    :param unsaved: Number of outputs that are at temporary URLs only.
    :param place: Where in the ledger its line begins, and its length; ``None`` if it isn't from a ledger.
    """

    id: str
    key: str
    position: int = 0
    status: str = ""
    generation_id: str | None = None
    modality: str | None = None
    model: str | None = None
    prompt: str | None = None
    reason: str | None = None
    cost: Decimal | None = None
    quoted: Decimal | None = None
    submitted: datetime | None = None
    completed: datetime | None = None
    files: tuple[File, ...] = ()
    unsaved: int = 0
    place: tuple[int, int] | None = None

    @property
    def is_failure(self) -> bool:
        """Whether its generation failed, was refused or has an unknown outcome."""
        return self.status in _FAILURES

    @property
    def time(self) -> float:
        """Unix time of the last thing that is known of it."""
        at = self.completed or self.submitted
        return at.timestamp() if at else 0.0

    def with_files(self, files: tuple[File, ...]) -> Item:
        """Return the item with files that another task has saved, unless it has its own."""
        return self if self.files or not files else replace(self, files=files, unsaved=0)


def key_of(item_id: str) -> str:
    """Return the digest that stands for an item in addresses."""
    return hashlib.sha256(item_id.encode("utf-8", "replace")).hexdigest()[:16]


def item_of(line: Mapping[str, Any], place: tuple[int, int] | None = None) -> Item | None:
    """
    Return the item of a ledger's line, ``None`` if it has no id.

    :param place: Where in the ledger the line begins, and its length.
    """
    item_id = text(line.get("id"))
    if item_id is None:
        return None
    files = files_of(line.get("files"))
    prompt, position = text(line.get("prompt")), number(line.get("position"))
    return Item(
        id=item_id,
        key=key_of(item_id),
        position=int(position or 0),
        status=_name(line.get("status")) or "",
        generation_id=text(line.get("generation_id")),
        modality=_name(line.get("modality")),
        model=_name(line.get("model")),
        prompt=prompt and prompt[:_LONGEST_SEARCHED],
        reason=text(line.get("reason")),
        cost=_cost(line),
        quoted=money(mapping(line.get("quote")).get("cost")),
        submitted=moment(line.get("submitted")),
        completed=moment(line.get("completed")),
        files=files,
        unsaved=max(0, len(items(line.get("outputs"))) - len(files)),
        place=place,
    )


def files_of(value: object) -> tuple[File, ...]:
    """Return the saved files of a ledger's line."""
    return tuple(filter(None, (_file(mapping(each)) for each in items(value))))


def _file(said: Mapping[str, Any]) -> File | None:
    uri, size = text(said.get("uri")), number(said.get("bytes"))
    if uri is None:
        return None
    return File(uri, _name(said.get("media_type")) or "", None if size is None else int(size), text(said.get("sha256")))


def _cost(line: Mapping[str, Any]) -> Decimal | None:
    earlier = [money(mapping(each).get("cost")) for each in items(line.get("earlier"))]
    costs = [cost for cost in (money(line.get("cost")), *earlier) if cost is not None]
    return sum(costs, Decimal(0)) if costs else None


def _name(value: object) -> str | None:
    """Return a word that many items share, once in memory."""
    found = text(value)
    return intern(found) if found else None
