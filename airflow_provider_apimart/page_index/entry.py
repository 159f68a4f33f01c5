"""
Entries of the index: the reports of tasks about their batches and generations.

Entries are read by another process, perhaps of another version of the provider, and may have been edited. So they are
read field by field, and a field that can't be read is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.json_values import items, mapping, moment, money, number, plain, text
from airflow_provider_apimart.durable.item_status import ItemStatus

VERSION = 1
"""Version of the form in which entries are written."""

_MOST = 10**12


class Kind(StrEnum):
    """What an entry describes."""

    BATCH = "batch"
    GENERATION = "generation"
    FILES = "files"
    """Files that a transfer saved for generations of other tasks."""


class State(StrEnum):
    """State of the task's work when the entry was written."""

    RUNNING = "running"
    DEFERRED = "deferred"
    """The triggerer waits for what runs."""
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    """The try ended by an error. ``reason`` says which."""

    @property
    def is_live(self) -> bool:
        """Whether more is to come."""
        return self in (State.RUNNING, State.DEFERRED)


@dataclass(frozen=True, slots=True)
class DaySpending:
    """
    Generations of one model on one day, and their cost.

    :param day: Day of the completion in UTC, such as ``2026-11-26``; without one, the day on which the entry was
        written.
    :param generations: Number of completed generations.
    :param cost: US dollars that were billed, as far as APIMart reported.
    :param quoted: US dollars that the completed generations with a quote were quoted at.
    :param reused: Number of items that were taken from the library.
    :param saved: US dollars that these had cost.
    """

    day: str
    model: str
    generations: int = 0
    cost: Decimal = Decimal(0)
    quoted: Decimal = Decimal(0)
    reused: int = 0
    saved: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """
    What a task has written about a batch or a generation.

    :param name: Name of its file without the extension.
    :param task_try: ``ti.try_number``.
    :param began: Time at which the try began.
    :param updated: Time at which the entry was written.
    :param destination: Directory of the saved files, if there are any.
    :param ledger: URI of a batch's ledger.
    :param counts: Number of items by status, and ``items``, ``unsaved`` and ``files``, of a batch.
    :param in_flight: Number of running generations of a batch.
    :param ends_at: Expected end of a batch.
    :param cost: US dollars, earlier generations included.
    :param quoted: US dollars that all items with a quote are quoted at.
    :param reason: Why nothing further is submitted, or why the try ended.
    :param item: A generation, with the fields of a ledger's line.
    :param files: Saved files of other tasks' generations: ``generation_id``, ``uri``, ``bytes``, ``sha256``,
        ``media_type``.
    """

    name: str
    kind: Kind
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    task_try: int = 1
    state: State = State.RUNNING
    began: datetime | None = None
    updated: datetime | None = None
    destination: str | None = None
    ledger: str | None = None
    counts: Mapping[str, int] | None = None
    in_flight: int = 0
    ends_at: datetime | None = None
    cost: Decimal | None = None
    quoted: Decimal | None = None
    reason: str | None = None
    spending: tuple[DaySpending, ...] = ()
    item: Mapping[str, Any] | None = None
    files: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain JSON."""
        said = {each.name: plain(getattr(self, each.name)) for each in fields(self) if each.name != "spending"}
        rows = [{each.name: plain(getattr(row, each.name)) for each in fields(row)} for row in self.spending]
        return {"version": VERSION, **said, "spending": rows}


def entry_from_json(name: str, value: object) -> IndexEntry | None:
    """
    Return the entry in a file, ``None`` if it names no task instance or is of an unknown kind.

    :param name: The file's name without the extension. It counts, whatever the file says.
    """
    said = mapping(value)
    kind = text(said.get("kind"))
    dag_id, task_id, run_id = (text(said.get(each)) for each in ("dag_id", "task_id", "run_id"))
    if kind not in set(Kind) or not (dag_id and task_id and run_id):
        return None
    state = text(said.get("state"))
    return IndexEntry(
        name=name,
        kind=Kind(kind),
        dag_id=dag_id,
        task_id=task_id,
        run_id=run_id,
        map_index=_whole(said.get("map_index"), -1),
        task_try=_whole(said.get("task_try"), 1),
        state=State(state) if state in set(State) else State.FINISHED,
        began=moment(said.get("began")),
        updated=moment(said.get("updated")),
        destination=text(said.get("destination")),
        ledger=text(said.get("ledger")),
        counts={str(key): _whole(count) for key, count in mapping(said.get("counts")).items()} or None,
        in_flight=_whole(said.get("in_flight")),
        ends_at=moment(said.get("ends_at")),
        cost=money(said.get("cost")),
        quoted=money(said.get("quoted")),
        reason=text(said.get("reason")),
        spending=tuple(_spending(mapping(row)) for row in items(said.get("spending"))),
        item=mapping(said.get("item")) or None,
        files=tuple(mapping(file) for file in items(said.get("files"))),
    )


def _spending(row: Mapping[str, Any]) -> DaySpending:
    return DaySpending(
        day=(text(row.get("day")) or "")[:10],
        model=text(row.get("model")) or "",
        generations=_whole(row.get("generations")),
        cost=money(row.get("cost")) or Decimal(0),
        quoted=money(row.get("quoted")) or Decimal(0),
        reused=_whole(row.get("reused")),
        saved=money(row.get("saved")) or Decimal(0),
    )


def _whole(value: object, default: int = 0) -> int:
    """Return a number of something; one that nothing can have that many of is missing."""
    found = number(value)
    return int(found) if found is not None and min(default, 0) <= found <= _MOST else default


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What counts of one item for the sums of money.

    :param completed: Time of the completion, or of the reuse.
    :param cost: US dollars for all its generations, ``None`` if APIMart reported none.
    :param quoted: US dollars of its quote.
    :param saved: US dollars that the reused generation had cost.
    """

    status: str
    model: str | None
    completed: str | None
    cost: Decimal | None
    quoted: Decimal | None
    saved: Decimal | None = None


def spending_of(outcomes: Iterable[Outcome], today: datetime) -> tuple[DaySpending, ...]:
    """
    Return the sums of money by day and model.

    :param outcomes: The items.
    :param today: The day of items without a completion, such as failed ones that were paid for before.
    """
    rows: dict[tuple[str, str], list[Any]] = {}
    for each in outcomes:
        reused, completed = each.status == ItemStatus.REUSED, each.status == ItemStatus.COMPLETED
        if not (reused or completed or each.cost):
            continue
        day = (each.completed or today.astimezone(UTC).isoformat())[:10]
        row = rows.setdefault((day, each.model or ""), [0, Decimal(0), Decimal(0), 0, Decimal(0)])
        row[0] += completed
        row[1] += each.cost or 0
        row[2] += (each.quoted or 0) if completed else 0
        row[3] += reused
        row[4] += (each.saved or 0) if reused else 0
    return tuple(DaySpending(day, model, *row) for (day, model), row in sorted(rows.items()))
