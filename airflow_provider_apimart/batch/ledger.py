"""What has become of each item of a batch: one line an item, for the next try, the next task and people to read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum, auto
from typing import Any

from airflow_provider_apimart.api.generation import Generation, GenerationStatus, generation_from_xcom
from airflow_provider_apimart.api.json_values import money, plain
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.durable.record import RecordState

JsonObjects = Sequence[Mapping[str, Any]]


class ItemStatus(StrEnum):
    """How far an item has come."""

    NOT_SUBMITTED = "not_submitted"
    """Nothing was sent, or nothing was charged for it."""
    UNKNOWN = "unknown"
    """A submit may have been charged whose generation isn't known; the next try repeats it with the same key."""
    RUNNING = "running"
    """The generation exists and wasn't seen finished; the next try takes it up again."""
    COMPLETED = "completed"
    FAILED = "failed"
    """The generation failed at APIMart, which refunds it; the next try makes a new one."""
    REFUSED = "refused"
    """APIMart refused the submit, and nothing was charged."""
    MODERATED = "moderated"
    """Moderation refused the prompt, a reference or the result."""


class Todo(Enum):
    """What a try of the task has to do for an item."""

    NOTHING = auto()
    SAVE = auto()
    """The generation is completed and its files aren't saved."""
    RESUME = auto()
    """It was paid for, or may have been: go on with it."""
    SUBMIT = auto()


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    One line of a ledger.

    :param reason: Why the item isn't completed, or why its files aren't saved.
    :param outputs: Its temporary URLs, as in a generation's XCom form.
    :param files: What was saved of them: ``uri``, ``bytes``, ``sha256``, ``media_type``.
    :param cost: US dollars for this item's generation, ``None`` where APIMart didn't say.
    :param submitted: When it was first sent, ISO 8601 in UTC.
    :param completed: When APIMart finished it.
    :param saved: When its files lay in the destination.
    :param clear_marker: ``ti.max_tries`` when it got its status.
    :param tried_at: When the try began in which it got into trouble, Unix time. That try leaves it alone.
    :param earlier: Generations of this item's id that another input has replaced, with their cost and files.
    :param submission: The record of its submit; see :class:`~airflow_provider_apimart.durable.record.SubmissionRecord`.
    :param revision: Which of two lines of one item is the newer.
    """

    id: str
    position: int
    status: ItemStatus = ItemStatus.NOT_SUBMITTED
    generation_id: str | None = None
    modality: str | None = None
    model: str | None = None
    prompt: str | None = None
    reason: str | None = None
    outputs: JsonObjects = ()
    files: JsonObjects = ()
    cost: Decimal | None = None
    submitted: str | None = None
    completed: str | None = None
    saved: str | None = None
    clear_marker: int | None = None
    tried_at: float | None = None
    earlier: JsonObjects = ()
    submission: Mapping[str, Any] | None = field(default=None, repr=False)
    revision: int = 0

    @property
    def is_saved(self) -> bool:
        """Whether every output lies in the destination."""
        return len(self.files) >= len(self.outputs)

    @property
    def is_paid(self) -> bool:
        """Whether its generation was or may have been charged, as far as is known."""
        return self.status in (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.COMPLETED)

    @property
    def earlier_costs(self) -> list[Decimal | None]:
        """US dollars for each generation that another input has replaced, ``None`` where that isn't known."""
        return [money(each.get("cost")) for each in self.earlier]

    @property
    def total_cost(self) -> Decimal:
        """US dollars that are known to be paid under this id, earlier generations included."""
        return sum((cost for cost in self.earlier_costs if cost), self.cost or Decimal(0))

    def generation(self) -> Generation:
        """Return the generation as far as the line tells."""
        known = ("generation_id", "modality", "model", "outputs", "cost", "completed")
        said = {name: getattr(self, name) for name in known}
        return generation_from_xcom({**said, "status": self.status.value})

    def to_json(self) -> dict[str, Any]:
        """Return the line as plain JSON."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


_FIELDS = frozenset(each.name for each in fields(LedgerEntry))


def entry_from_json(value: Mapping[str, Any]) -> LedgerEntry:
    """
    Return the line that :meth:`LedgerEntry.to_json` wrote.

    :raises ValueError: If it is none.
    """
    known = {name: each for name, each in value.items() if name in _FIELDS}
    try:
        return LedgerEntry(**{**known, "status": ItemStatus(value["status"]), "cost": money(value.get("cost"))})
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{str(value)[:200]} is no line of a batch's ledger: {error}") from error


def newest(entries: Iterable[LedgerEntry]) -> dict[str, LedgerEntry]:
    """Return the newest line of each item."""
    found: dict[str, LedgerEntry] = {}
    for entry in entries:
        if entry.id not in found or entry.revision >= found[entry.id].revision:
            found[entry.id] = entry
    return found


class Ledger:
    """
    The lines of one batch, in memory.

    :param items: What is asked for now.
    :param earlier: What earlier tries have written, perhaps about items that aren't asked for any more.
    :param on_change: Called with every new line.
    :param clear_marker: ``ti.max_tries`` of this try.
    :param started_at: Unix time at which this try began. It survives the waits in the triggerer.
    """

    def __init__(
        self,
        items: Sequence[BatchItem],
        earlier: Mapping[str, LedgerEntry],
        on_change: Callable[[LedgerEntry], None],
        clear_marker: int,
        started_at: float,
    ) -> None:
        self._on_change = on_change
        self._clear_marker = clear_marker
        self._started_at = started_at
        self._entries = {item.id: _taken_over(item, earlier.get(item.id)) for item in items}
        self.left_behind = [entry for name, entry in earlier.items() if name not in self._entries]
        for name, entry in self._entries.items():
            if entry is not earlier.get(name):
                on_change(entry)

    def __getitem__(self, item_id: str) -> LedgerEntry:
        return self._entries[item_id]

    @property
    def entries(self) -> list[LedgerEntry]:
        """The lines of the items that are asked for, in their order."""
        return list(self._entries.values())

    def change(self, item_id: str, **changes: Any) -> None:
        """Write a new line of an item."""
        entry = self._entries[item_id]
        self._entries[item_id] = replace(entry, **changes, revision=entry.revision + 1)
        self._on_change(self._entries[item_id])

    def todo(self, item_id: str, *, saves: bool) -> Todo:
        """
        Return what there is to do for an item.

        :param saves: Whether files are to be saved.
        """
        entry = self._entries[item_id]
        match entry.status:
            case ItemStatus.COMPLETED:
                return Todo.SAVE if saves and not entry.is_saved else Todo.NOTHING
            case ItemStatus.MODERATED if entry.clear_marker == self._clear_marker:
                return Todo.NOTHING
            case ItemStatus.NOT_SUBMITTED:
                return Todo.SUBMIT
            case _ if entry.tried_at == self._started_at:
                return Todo.NOTHING
            case ItemStatus.RUNNING | ItemStatus.UNKNOWN:
                return Todo.RESUME
        return Todo.SUBMIT

    def note_generation(self, item_id: str, generation: Generation) -> None:
        """Write what is known of an item's generation."""
        completed = generation.status is GenerationStatus.COMPLETED
        told = generation.to_xcom()
        self.change(
            item_id,
            status=ItemStatus.COMPLETED if completed else ItemStatus.RUNNING,
            generation_id=generation.generation_id,
            reason=None,
            outputs=told["outputs"],
            # What is told of a running one is reserved, and given back should it fail.
            cost=generation.cost if completed else None,
            completed=told["completed"] or (_now() if completed else None),
            clear_marker=self._clear_marker,
            tried_at=None,
        )

    def note_trouble(self, item_id: str, status: ItemStatus, reason: str) -> None:
        """Write why an item isn't completed, or isn't saved."""
        self.change(item_id, status=status, reason=reason, clear_marker=self._clear_marker, tried_at=self._started_at)

    def note_files(self, item_id: str, files: JsonObjects) -> None:
        """Write where an item's outputs lie."""
        self.change(item_id, files=tuple(files), saved=_now(), reason=None)

    def slot(self, item_id: str) -> LedgerSlot:
        """Return where the record of an item's submit is kept."""
        return LedgerSlot(self, item_id)


class LedgerSlot:
    """
    Keeps the record of one item's submit, as a task's state store does for a task with one generation.

    :param item_id: The item.
    """

    def __init__(self, ledger: Ledger, item_id: str) -> None:
        self._ledger = ledger
        self._item_id = item_id

    def get(self, key: str) -> Any:
        """Return the record."""
        return self._ledger[self._item_id].submission

    def set(self, key: str, value: Mapping[str, Any]) -> None:
        """Write the record, and with it how far the item has come."""
        generation = value["generation"] or {}
        self._ledger.change(
            self._item_id,
            submission=value,
            status=_STATUS_OF_RECORD[RecordState(value["state"])],
            generation_id=generation.get("generation_id"),
            tried_at=None,
            # To the millisecond, since the wait for it counts from then.
            submitted=datetime.fromtimestamp(value["recorded_at"], UTC).isoformat(timespec="milliseconds"),
        )


_STATUS_OF_RECORD = {
    RecordState.SENDING: ItemStatus.UNKNOWN,
    RecordState.STOPPED: ItemStatus.UNKNOWN,
    RecordState.REFUSED: ItemStatus.NOT_SUBMITTED,
    RecordState.SUBMITTED: ItemStatus.RUNNING,
    RecordState.DELIVERED: ItemStatus.RUNNING,
}


def _taken_over(item: BatchItem, entry: LedgerEntry | None) -> LedgerEntry:
    """Return the line with which an item begins: that of an earlier try if it was about the same request."""
    fresh = LedgerEntry(
        item.id,
        item.position,
        modality=item.request.modality.value,
        model=item.request.payload.get("model"),
        prompt=item.prompt,
    )
    if entry is None:
        return fresh
    revision = entry.revision + 1
    if (entry.submission or {}).get("fingerprint") in (None, item.request.fingerprint):
        asked = {name: getattr(fresh, name) for name in ("position", "modality", "model", "prompt")}
        is_same = all(getattr(entry, name) == value for name, value in asked.items())
        return entry if is_same else replace(entry, **asked, revision=revision)
    # The record stays, so that the protocol tells what is left behind.
    return replace(fresh, earlier=_with_replaced(entry), submission=entry.submission, revision=revision)


def _with_replaced(entry: LedgerEntry) -> JsonObjects:
    if not entry.is_paid:
        return entry.earlier
    told = {"generation_id": entry.generation_id, "status": entry.status.value, "cost": plain(entry.cost)}
    return (*entry.earlier, {**told, "files": list(entry.files)})


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
