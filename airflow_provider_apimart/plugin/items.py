"""
Items as the pages show them, read from the lines of ledgers and from entries of the index.

Whatever wrote a line, perhaps another version of the provider or a person, each field is read on its own. A field that
can't be read is missing, and an unknown status is shown as it is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

from airflow_provider_apimart.api.json_values import items, mapping, moment, money, text
from airflow_provider_apimart.durable.item_status import FAILURES

_LONGEST_SEARCHED = 4000
_IDS = re.compile(
    r"\s*\((?:HTTP status|code|request id|generation) [^)]*\)|\b(?=[0-9A-Za-z_]*[0-9])[0-9A-Za-z_]{20,}\b:?\s?"
)


# Not data classes: ten thousand of these are made while somebody waits, and a frozen one takes three times as long.
class File(NamedTuple):
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

    @property
    def folder(self) -> str:
        """URI of its directory."""
        return self.uri.rpartition("/")[0]


class Item(NamedTuple):
    """
    One item of a batch, or one generation.

    :param id: The user's own id of it.
    :param costs: US dollars of its generation and of earlier ones, as they were read.
    :param quote: US dollars of its quote, as they were read.
    :param saved: US dollars that the reused generation had cost, as they were read.
    :param reused: The generation whose kept result serves the item.
    :param submission_time: When it was submitted, as it was read.
    :param completion_time: When it completed, as it was read.
    :param saved_files: What names its files, as it was read.
    :param outputs: Number of outputs, saved or not.
    :param place: Where in the ledger its line begins, and its length; ``None`` if it isn't from a ledger.
    """

    id: str
    position: int = 0
    status: str = ""
    generation_id: str | None = None
    modality: str | None = None
    model: str | None = None
    prompt: str | None = None
    reason: str | None = None
    costs: tuple[object, ...] = ()
    quote: object = None
    saved: object = None
    reused: str | None = None
    submission_time: object = None
    completion_time: object = None
    saved_files: tuple[object, ...] = ()
    outputs: int = 0
    place: tuple[int, int] | None = None

    @property
    def key(self) -> str:
        """Digest of the id, which stands for it in addresses."""
        return hashlib.sha256(self.id.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def cost(self) -> Decimal | None:
        """US dollars, earlier generations of the item included; ``None`` if APIMart reported none."""
        known = [cost for cost in map(money, self.costs) if cost is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def quoted(self) -> Decimal | None:
        """US dollars of its quote."""
        return money(self.quote)

    @property
    def saved_cost(self) -> Decimal | None:
        """US dollars that the reused generation had cost."""
        return money(self.saved)

    @property
    def submitted(self) -> datetime | None:
        """When it was submitted."""
        return moment(self.submission_time)

    @property
    def completed(self) -> datetime | None:
        """When it completed."""
        return moment(self.completion_time)

    @property
    def files(self) -> tuple[File, ...]:
        """Its saved files."""
        return files_of(self.saved_files)

    @property
    def unsaved(self) -> int:
        """Number of outputs that are at temporary URLs only."""
        return max(0, self.outputs - len(self.files))

    @property
    def short_reason(self) -> str | None:
        """The reason without advice, and without the ids that make each one unique."""
        if self.reason is None:
            return None
        said = self.reason.partition("\n")[0]
        return _IDS.sub("", said).strip(" :") or said

    @property
    def cover(self) -> int | None:
        """Number of the first image among its files."""
        return next((number for number, file in enumerate(self.files) if file.kind == "image"), None)

    @property
    def is_failure(self) -> bool:
        """Whether its generation failed, was refused or has an unknown outcome."""
        return self.status in FAILURES

    @property
    def time(self) -> float:
        """Unix time of the last thing that is known of it."""
        at = self.completed or self.submitted
        return at.timestamp() if at else 0.0

    def with_files(self, files: tuple[File, ...]) -> Item:
        """Return the item with files that another task has saved, unless it has its own."""
        return self if self.files or not files else self._replace(saved_files=files, outputs=0)


class Line(TypedDict, total=False):
    """The fields of a ledger's line that make an item. The rest of a line needn't be read."""

    id: Any
    position: Any
    status: Any
    generation_id: Any
    modality: Any
    model: Any
    prompt: Any
    reason: Any
    cost: Any
    earlier: Any
    quote: Any
    saved_cost: Any
    reused: Any
    submitted: Any
    completed: Any
    files: Any
    outputs: Any


def item_of(line: Mapping[str, Any], place: tuple[int, int] | None = None) -> Item | None:
    """
    Return the item of a ledger's line, ``None`` if it has no id.

    Ten thousand lines are read while somebody waits: amounts, times and files are read only where they are shown.

    :param place: Where in the ledger the line begins, and its length.
    """
    get = line.get
    item_id = _text(get("id"))
    if item_id is None:
        return None
    prompt, position = _text(get("prompt")), get("position")
    # Most lines have none.
    earlier = get("earlier")
    return Item(
        id=item_id,
        position=position if type(position) is int else 0,
        status=_text(get("status")) or "",
        generation_id=_text(get("generation_id")),
        modality=_text(get("modality")),
        model=_text(get("model")),
        prompt=prompt and prompt[:_LONGEST_SEARCHED],
        reason=_text(get("reason")),
        costs=(get("cost"), *(mapping(each).get("cost") for each in items(earlier))) if earlier else (get("cost"),),
        quote=mapping(get("quote")).get("cost"),
        saved=get("saved_cost"),
        reused=_text(get("reused")),
        submission_time=get("submitted"),
        completion_time=get("completed"),
        saved_files=tuple(items(get("files"))),
        outputs=len(items(get("outputs"))),
        place=place,
    )


def files_of(value: object) -> tuple[File, ...]:
    """Return the saved files of a ledger's line."""
    return tuple(filter(None, map(_file, items(value))))


def _file(value: object) -> File | None:
    if isinstance(value, File):
        return value
    said = mapping(value)
    uri, size = _text(said.get("uri")), said.get("bytes")
    if uri is None:
        return None
    return File(
        uri, _text(said.get("media_type")) or "", size if type(size) is int else None, _text(said.get("sha256"))
    )


def _text(value: object) -> str | None:
    # Nearly all are absent or plain, and asking that first is several times cheaper.
    if value is None:
        return None
    return value.strip() or None if type(value) is str and value.isascii() else text(value)
