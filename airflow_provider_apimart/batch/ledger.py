"""
Ledger of a batch: one line for each item, for the next task and for people.

A line is a view of the item's facts (:mod:`airflow_provider_apimart.durable.facts`). It can be derived again at any
time, and no payment depends on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.json_values import JsonObject, money, plain
from airflow_provider_apimart.api.payload import requested_outputs
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.durable.facts import Attempt, Fact, FactKind, ItemRecord
from airflow_provider_apimart.durable.paid_once import note_end

JsonObjects = Sequence[Mapping[str, Any]]

# Many a reader takes them for the end of a line, though JSON allows them inside of a string.
_SEPARATORS = {ord(each): f"\\u{ord(each):04x}" for each in "\u0085\u2028\u2029"}


class ItemStatus(StrEnum):
    """Status of an item."""

    NOT_SUBMITTED = "not_submitted"
    """Nothing was sent, or nothing was charged for it."""
    UNKNOWN = "unknown"
    """A submit may have been charged whose generation isn't known; the next try repeats it with the same key."""
    RUNNING = "running"
    """The generation exists and wasn't seen finished; the next try resumes waiting for it."""
    COMPLETED = "completed"
    FAILED = "failed"
    """The generation failed at APIMart, which refunds it; the next try submits a new one."""
    REFUSED = "refused"
    """APIMart refused the submit, and nothing was charged."""
    REUSED = "reused"
    """A kept result of an identical request serves it; nothing was paid for it."""
    MODERATED = "moderated"
    """Moderation refused the prompt, a reference or the result."""


class Todo(Enum):
    """Work of a try of the task for an item."""

    NOTHING = auto()
    SAVE = auto()
    """The generation is completed, and its files aren't saved or, where nothing is saved, lack URLs."""
    RESUME = auto()
    """It was or may have been charged: continue with it."""
    SUBMIT = auto()


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    One line of a ledger.

    :param reason: The reason why the item isn't completed or its files aren't saved.
    :param requested: Number of requested outputs, ``None`` if unknown.
    :param outputs: Its temporary URLs, as in a generation's XCom form.
    :param result: Values of a completed result other than media, such as text.
    :param files: The saved files: ``uri``, ``bytes``, ``sha256``, ``media_type``.
    :param cost: US dollars for this item's generation, ``None`` if APIMart didn't report it.
    :param submitted: Time of the first submit, ISO 8601 in UTC.
    :param completed: Time of the completion.
    :param saved: Time at which its files were saved.
    :param clear_marker: ``ti.max_tries`` at its last failure.
    :param tried_at: Unix time of the beginning of the try in which it failed last. That try doesn't repeat it.
    :param quote: The quote of its request from before the submit: ``cost``, ``certainty``, ``reason``.
    :param request: The request without its prompt, in which files are named by the SHA-256 of their content.
    :param reused: The generation whose kept result serves the item, ``None`` if it has one of its own.
    :param saved_cost: US dollars that the reused generation had cost, ``None`` if unknown. ``cost`` is 0 then.
    :param earlier: Other generations under this item's id that were or may have been charged, with cost and files.
    :param submission: Its submit: fingerprint, idempotency key and state.
    """

    id: str
    position: int
    status: ItemStatus = ItemStatus.NOT_SUBMITTED
    generation_id: str | None = None
    modality: str | None = None
    model: str | None = None
    prompt: str | None = None
    reason: str | None = None
    requested: int | None = None
    outputs: JsonObjects = ()
    result: Mapping[str, Any] | None = None
    files: JsonObjects = ()
    cost: Decimal | None = None
    submitted: str | None = None
    completed: str | None = None
    saved: str | None = None
    clear_marker: int | None = None
    tried_at: float | None = None
    quote: Mapping[str, Any] | None = None
    request: Mapping[str, Any] | None = field(default=None, repr=False)
    reused: str | None = None
    saved_cost: Decimal | None = None
    earlier: JsonObjects = ()
    submission: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def is_saved(self) -> bool:
        """Whether every output is saved in the destination."""
        return len(self.files) >= len(self.outputs)

    @property
    def lacks_urls(self) -> bool:
        """Whether an output is neither saved nor at a URL, since it came inside APIMart's reply."""
        return not self.is_saved and any(not output.get("url") for output in self.outputs)

    @property
    def is_paid(self) -> bool:
        """Whether its generation was or may have been charged."""
        return self.status in (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.COMPLETED)

    @property
    def earlier_costs(self) -> list[Decimal | None]:
        """US dollars for each earlier generation, ``None`` if unknown."""
        return [money(each.get("cost")) for each in self.earlier]

    @property
    def total_cost(self) -> Decimal:
        """US dollars that were charged for this item as far as known, earlier generations included."""
        return sum((cost for cost in self.earlier_costs if cost), self.cost or Decimal(0))

    def generation(self) -> Generation:
        """Return the generation that the line describes."""
        known = ("generation_id", "modality", "model", "outputs", "result", "cost", "completed", "reused")
        said = {name: getattr(self, name) for name in known}
        status = ItemStatus.COMPLETED if self.status is ItemStatus.REUSED else self.status
        return generation_from_xcom({**said, "status": status.value})

    def to_json(self) -> dict[str, Any]:
        """Return the line as plain JSON."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


def ledger_text(entries: Iterable[LedgerEntry]) -> bytes:
    """Return a ledger as JSON Lines."""
    return json_lines(entry.to_json() for entry in entries)


def json_lines(values: Iterable[JsonObject]) -> bytes:
    """Return objects as JSON Lines that every reader splits alike."""
    lines = (json.dumps(value, ensure_ascii=False).translate(_SEPARATORS) for value in values)
    return "".join(f"{line}\n" for line in lines).encode()


class Ledger:
    """
    The items of one batch in memory.

    :param items: The requested items.
    :param records: The records of earlier tries, perhaps also of items that are no longer requested.
    :param note: Function that makes a fact durable soon.
    :param clear_marker: ``ti.max_tries`` of this try.
    :param started_at: Unix time at which this try began. It survives the waits in the triggerer.
    """

    def __init__(
        self,
        items: Sequence[BatchItem],
        records: Mapping[str, ItemRecord],
        note: Callable[[Fact], None],
        clear_marker: int,
        started_at: float,
    ) -> None:
        self._note = note
        self._clear_marker = clear_marker
        self._started_at = started_at
        self._items = {item.id: item for item in items}
        self._fingerprints = {item.id: item.request.fingerprint for item in items}
        self._records = {item.id: records.get(item.id, ItemRecord()) for item in items}
        self._entries = {item.id: self._entry(item.id) for item in items}
        self.left_behind = [
            entry_of_record(name, record, len(items) + number)
            for number, (name, record) in enumerate(records.items())
            if name not in self._items
        ]

    def __getitem__(self, item_id: str) -> LedgerEntry:
        return self._entries[item_id]

    @property
    def entries(self) -> list[LedgerEntry]:
        """The lines of the requested items, in their order."""
        return list(self._entries.values())

    def record(self, item_id: str) -> BatchRecord:
        """Return the record of an item's generation, for the protocol."""
        return BatchRecord(self, item_id)

    def known(self, item_id: str) -> ItemRecord:
        """Return the record of an item."""
        return self._records[item_id]

    def failures(self, item_id: str) -> int:
        """Return how many generations of an item were seen failed in this try."""
        attempts = self._records[item_id].attempts.values()
        ends = (_end(each) for each in attempts if each.fingerprint == self._fingerprints[item_id] and each.has_failed)
        return sum(end is not None and end.at >= self._started_at for end in ends)

    def note(self, item_id: str, kind: FactKind, **details: Any) -> None:
        """Note a fact about an item."""
        fact = Fact(kind, item_id, time.time(), details)
        self._records[item_id] = self._records[item_id].with_fact(fact)
        self._entries[item_id] = self._entry(item_id)
        self._note(fact)

    def note_end(self, item_id: str, generation: Generation) -> None:
        """Note that an item's generation is completed or has failed."""
        if attempt := self._attempt(item_id):
            note_end(self.record(item_id), attempt.key, generation)

    def note_files(self, item_id: str, files: JsonObjects) -> None:
        """Note the saved files of an item."""
        if attempt := self._attempt(item_id):
            self.note(item_id, FactKind.SAVED, key=attempt.key, files=[dict(file) for file in files])

    def may_reuse(self, item_id: str) -> bool:
        """Whether an item may be served by a kept result."""
        return self._records[item_id].may_reuse(self._fingerprints[item_id])

    def note_reuse(
        self, item_id: str, generation: Generation, saved_cost: Decimal | None, files: Iterable[JsonObject]
    ) -> None:
        """
        Note that a kept result serves an item.

        :param saved_cost: US dollars that it had cost.
        :param files: Its files, as tonight's destination has them.
        """
        request = self._items[item_id].request
        self.note(
            item_id,
            FactKind.REUSED,
            fingerprint=self._fingerprints[item_id],
            modality=request.modality.value,
            request=request.payload,
            generation=generation.to_xcom(),
            saved_cost=plain(saved_cost),
            files=[dict(file) for file in files],
        )

    def note_trouble(self, item_id: str, status: ItemStatus, reason: str) -> None:
        """Note the reason why an item isn't completed or isn't saved."""
        self.note(
            item_id,
            FactKind.TROUBLE,
            fingerprint=self._fingerprints[item_id],
            status=status.value,
            reason=reason,
            clear_marker=self._clear_marker,
            tried_at=self._started_at,
        )

    def todo(self, item_id: str, *, saves: bool) -> Todo:
        """
        Return the work for an item.

        :param saves: Whether files are to be saved.
        """
        entry = self._entries[item_id]
        match entry.status:
            case ItemStatus.COMPLETED:
                return Todo.SAVE if (not entry.is_saved if saves else entry.lacks_urls) else Todo.NOTHING
            case ItemStatus.REUSED:
                return Todo.NOTHING
            case ItemStatus.MODERATED if entry.clear_marker == self._clear_marker:
                return Todo.NOTHING
            case ItemStatus.NOT_SUBMITTED:
                return Todo.SUBMIT
            case _ if entry.tried_at == self._started_at:
                return Todo.NOTHING
            case ItemStatus.UNKNOWN if self._was_decided(item_id):
                return Todo.SUBMIT
            case ItemStatus.RUNNING | ItemStatus.UNKNOWN:
                return Todo.RESUME
        return Todo.SUBMIT

    def _was_decided(self, item_id: str) -> bool:
        """Whether a person was asked about a submit of unknown outcome, and has cleared the task since."""
        attempt = self._attempt(item_id)
        return attempt is not None and attempt.stopped is not None and self._clear_marker > attempt.stopped

    def _attempt(self, item_id: str) -> Attempt | None:
        return self._records[item_id].latest(self._fingerprints[item_id])

    def _entry(self, item_id: str) -> LedgerEntry:
        item, record = self._items[item_id], self._records[item_id]
        fingerprint = self._fingerprints[item_id]
        modality, payload = item.request.modality.value, item.request.payload
        return _entry(item_id, item.position, modality, payload, record, record.latest(fingerprint), fingerprint)


class BatchRecord:
    """
    The record of one item's generation.

    Its facts are durable before a POST, since the batch's transport waits for the journal.

    :param item_id: The item.
    """

    def __init__(self, ledger: Ledger, item_id: str) -> None:
        self._ledger = ledger
        self._item_id = item_id

    def read(self) -> ItemRecord:
        """Return the facts about the item."""
        return self._ledger.known(self._item_id)

    def note(self, kind: FactKind, **details: Any) -> None:
        """Note a fact about the item."""
        self._ledger.note(self._item_id, kind, **details)

    def before_post(self) -> None:
        """Return: see :meth:`~airflow_provider_apimart.batch.journal.Journal.before_post`."""


def entry_of_record(item_id: str, record: ItemRecord, position: int) -> LedgerEntry:
    """Return the line of an item from its facts alone."""
    attempt = next(reversed(record.all_but(None)), None)
    reuse = max(record.reused.values(), key=lambda fact: fact.order, default=None)
    if reuse and (attempt is None or attempt.first_sent <= reuse.at):
        said = reuse.details
        return _entry(item_id, position, said["modality"], said["request"], record, None, said["fingerprint"])
    if attempt is None:
        return _entry(item_id, position, None, {}, record, None, None)
    return _entry(item_id, position, attempt.modality, attempt.request, record, attempt, attempt.fingerprint)


def _entry(
    item_id: str,
    position: int,
    modality: str | None,
    payload: JsonObject,
    record: ItemRecord,
    attempt: Attempt | None,
    fingerprint: str | None,
) -> LedgerEntry:
    if (reuse := record.reuse(fingerprint or "")) is not None:
        return _reused_entry(item_id, position, record, reuse)
    trouble = _current_trouble(record.troubles.get(fingerprint or ""), attempt)
    status = _status(attempt, trouble)
    generation = (attempt.generation if attempt else None) or {}
    completed = status is ItemStatus.COMPLETED
    return LedgerEntry(
        item_id,
        position,
        status,
        generation_id=generation.get("generation_id"),
        modality=modality,
        model=payload.get("model"),
        prompt=payload.get("prompt"),
        reason=_reason(status, attempt, trouble),
        requested=_requested(modality, payload),
        outputs=tuple(generation.get("outputs") or ()) if completed else (),
        result=generation.get("result") if completed else None,
        files=tuple(attempt.files) if attempt else (),
        cost=money(generation.get("cost")) if completed else None,
        # To the millisecond, since the wait for it counts from then.
        submitted=_iso(attempt.first_sent, "milliseconds") if attempt else None,
        completed=_completed_at(attempt, generation) if completed else None,
        saved=_iso(attempt.saved.at, "seconds") if attempt and attempt.saved else None,
        clear_marker=trouble.details["clear_marker"] if trouble else None,
        tried_at=trouble.details["tried_at"] if trouble else None,
        quote=attempt.quote if attempt else None,
        request=_rest_of(payload),
        earlier=_earlier(record, attempt),
        submission=_submission(attempt),
    )


def _reused_entry(item_id: str, position: int, record: ItemRecord, reuse: Fact) -> LedgerEntry:
    said, generation = reuse.details, reuse.details["generation"]
    return LedgerEntry(
        item_id,
        position,
        ItemStatus.REUSED,
        generation_id=generation.get("generation_id"),
        modality=said["modality"],
        model=said["request"].get("model"),
        prompt=said["request"].get("prompt"),
        requested=_requested(said["modality"], said["request"]),
        result=generation.get("result"),
        files=tuple(said["files"]),
        cost=Decimal(0),
        completed=generation.get("completed"),
        saved=_iso(reuse.at, "seconds"),
        request=_rest_of(said["request"]),
        reused=generation.get("reused"),
        saved_cost=money(said["saved_cost"]),
        earlier=_earlier(record, None),
        # Should the facts be lost, the fact can be made again from this line.
        submission={"state": "reused", "fingerprint": said["fingerprint"], "recorded_at": reuse.at},
    )


def _requested(modality: str | None, payload: JsonObject) -> int | None:
    return requested_outputs(Modality(modality), payload) if modality else None


def _rest_of(payload: JsonObject) -> JsonObject | None:
    return {name: value for name, value in payload.items() if name not in ("prompt", "model")} or None


def _current_trouble(trouble: Fact | None, attempt: Attempt | None) -> Fact | None:
    """Return the fact about a failure unless a request was sent after it."""
    if trouble is None or (attempt and any(at > trouble.at for at in attempt.sends.values())):
        return None
    return trouble


def _status(attempt: Attempt | None, trouble: Fact | None) -> ItemStatus:
    if attempt is not None:
        if attempt.is_completed:
            return ItemStatus.COMPLETED
        if attempt.has_failed:
            end = _end(attempt)
            return ItemStatus.MODERATED if end and end.details["moderated"] else ItemStatus.FAILED
        if attempt.stopped is not None or attempt.unanswered_since is not None:
            return ItemStatus.UNKNOWN
        if attempt.generation is not None:
            return ItemStatus.RUNNING
    said = trouble.details["status"] if trouble else None
    refusals = (ItemStatus.REFUSED, ItemStatus.MODERATED)
    return ItemStatus(said) if said in refusals else ItemStatus.NOT_SUBMITTED


def _end(attempt: Attempt) -> Fact | None:
    """Return the fact about the end of a generation; one that failed at once has none for a moment."""
    return attempt.ended.get(attempt.generation_id or "")


def _reason(status: ItemStatus, attempt: Attempt | None, trouble: Fact | None) -> str | None:
    if trouble is not None and not (status is ItemStatus.COMPLETED and _all_is_saved(attempt)):
        reason: str = trouble.details["reason"]
        return reason
    if attempt and attempt.has_failed and (end := _end(attempt)):
        failure: str | None = end.details["reason"]
        return failure
    return None


def _all_is_saved(attempt: Attempt | None) -> bool:
    outputs = ((attempt.generation if attempt else None) or {}).get("outputs") or ()
    return attempt is not None and len(attempt.files) >= len(outputs)


def _completed_at(attempt: Attempt | None, generation: JsonObject) -> str | None:
    said: str | None = generation.get("completed")
    end = _end(attempt) if attempt else None
    return said or (_iso(end.at, "seconds") if end else None)


def _earlier(record: ItemRecord, attempt: Attempt | None) -> JsonObjects:
    replaced = [fact.details["generation"] for fact in record.replaced.values()]
    others = [_replaced(each) for each in record.all_but(attempt) if each.may_be_charged]
    return (*replaced, *others)


def _replaced(attempt: Attempt) -> Mapping[str, Any]:
    generation = attempt.generation or {}
    return {
        "generation_id": attempt.generation_id,
        "status": generation.get("status") or (ItemStatus.RUNNING if generation else ItemStatus.UNKNOWN).value,
        "cost": generation.get("cost"),
        "quote": attempt.quote,
        "files": attempt.files,
    }


def _submission(attempt: Attempt | None) -> Mapping[str, Any] | None:
    """Return an attempt in the form of version 1.0.0, which can be read again should the facts be lost."""
    if attempt is None or attempt.sending is None:
        return None
    said = attempt.sending.details
    known = attempt.generation and {"generation_id": attempt.generation_id}
    state = "submitted" if known else "sending" if attempt.unanswered_since else "refused"
    return {
        "state": "stopped" if attempt.stopped is not None else state,
        "fingerprint": said["fingerprint"],
        "clear_marker": said["clear_marker"] if attempt.stopped is None else attempt.stopped,
        "attempt": said["attempt"],
        "idempotency_key": attempt.key,
        "key_scope": said["key_scope"],
        "recorded_at": attempt.first_sent,
        "generation": known,
        "uploads": said["uploads"],
    }


def _iso(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision)
