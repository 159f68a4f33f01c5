"""Rows of the page *Batches*: each batch, and the generations of each task of a run together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from airflow_provider_apimart.durable.item_status import FAILURES, ItemStatus
from airflow_provider_apimart.page_index.entry import IndexEntry, Kind, State
from airflow_provider_apimart.plugin.generations import Shown
from airflow_provider_apimart.plugin.index import Known
from airflow_provider_apimart.plugin.items import Item

_DONE = (ItemStatus.COMPLETED, ItemStatus.REUSED)


@dataclass(frozen=True)
class BatchRow:
    """
    A batch, or the generations of one task of a run.

    :param id: What it is called in addresses.
    :param batch: Name of the entry of a batch, ``None`` for generations.
    :param map_index: The map index, ``None`` if there is none or if they are several.
    :param statuses: Number of items by status.
    :param cost: US dollars, ``None`` if APIMart reported none.
    :param saved: US dollars that reused items had cost.
    """

    id: str
    batch: str | None
    dag_id: str
    task_id: str
    run_id: str
    map_index: int | None
    state: State
    statuses: Mapping[str, int]
    in_flight: int = 0
    unsaved: int = 0
    files: int = 0
    cost: Decimal | None = None
    quoted: Decimal | None = None
    saved: Decimal = Decimal(0)
    began: datetime | None = None
    updated: datetime | None = None
    ends_at: datetime | None = None
    reason: str | None = None

    @property
    def items(self) -> int:
        """Number of all items."""
        return sum(self.statuses.values())

    @property
    def done(self) -> int:
        """Number of items that are completed or reused."""
        return sum(self.statuses.get(each, 0) for each in _DONE)

    @property
    def reused(self) -> int:
        """Number of items that were taken from the library."""
        return self.statuses.get(ItemStatus.REUSED, 0)

    @property
    def failed(self) -> int:
        """Number of items that failed, were refused, or have an unknown outcome."""
        return sum(self.statuses.get(each, 0) for each in FAILURES)

    @property
    def left(self) -> int:
        """Number of items that are neither done nor failed nor in flight."""
        return max(0, self.items - self.done - self.failed - self.in_flight)

    @property
    def word(self) -> str:
        """Its state in a word."""
        if self.state is State.FINISHED:
            # A batch excuses what moderation refused; a task with one generation has failed.
            excused = self.statuses.get(ItemStatus.MODERATED, 0) if self.batch else 0
            missing = self.items - self.done - excused + self.unsaved
            return "incomplete" if missing else "complete"
        return self.state.value

    @property
    def query(self) -> dict[str, str]:
        """What leads to its gallery."""
        if self.batch:
            return {"batch": self.batch}
        return {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id}


def batch_rows_of(entries: Mapping[str, Known], generations: Iterable[Shown]) -> list[BatchRow]:
    """
    Return the rows, the latest first.

    :param entries: The entries, the newest first.
    :param generations: The generations that they describe, each once.
    """
    batches = [_batch(known.entry) for known in entries.values() if known.entry.kind is Kind.BATCH]
    tasks: dict[tuple[str, str, str], list[Shown]] = {}
    for shown in generations:
        entry = shown.known.entry
        tasks.setdefault((entry.dag_id, entry.run_id, entry.task_id), []).append(shown)
    found = [*batches, *map(_generations, tasks.values())]
    return sorted(found, key=lambda work: work.began.timestamp() if work.began else 0, reverse=True)


def _batch(entry: IndexEntry) -> BatchRow:
    known = dict(entry.counts or {})
    unsaved, files = known.pop("unsaved", 0), known.pop("files", 0)
    known.pop("items", None)
    return BatchRow(
        id=entry.name,
        batch=entry.name,
        dag_id=entry.dag_id,
        task_id=entry.task_id,
        run_id=entry.run_id,
        map_index=entry.map_index if entry.map_index >= 0 else None,
        state=entry.state,
        statuses={status: count for status, count in known.items() if count > 0},
        in_flight=entry.in_flight,
        unsaved=unsaved,
        files=files,
        cost=entry.cost,
        quoted=entry.quoted or None,
        saved=sum((row.saved for row in entry.spending), Decimal(0)),
        began=entry.began,
        updated=entry.updated,
        ends_at=entry.ends_at,
        reason=entry.reason,
    )


def _generations(shown: list[Shown]) -> BatchRow:
    entry = shown[0].known.entry
    items = [each.item for each in shown]
    entries = [each.known.entry for each in shown]
    statuses = Counter(item.status for item in items)
    running = statuses.get("running", 0)
    return BatchRow(
        id=f"g{_digest(entry)}",
        batch=None,
        dag_id=entry.dag_id,
        task_id=entry.task_id,
        run_id=entry.run_id,
        map_index=entry.map_index if len(shown) == 1 and entry.map_index >= 0 else None,
        state=State.RUNNING if running else State.FINISHED,
        statuses=statuses,
        in_flight=running,
        files=sum(len(item.files) for item in items),
        cost=_sum(item.cost for item in items),
        quoted=_sum(item.quoted for item in items),
        saved=_sum(item.saved_cost for item in items) or Decimal(0),
        began=min(filter(None, (each.began for each in entries)), default=None),
        updated=max(filter(None, (each.updated for each in entries)), default=None),
        reason=_only_reason(items),
    )


def _only_reason(items: list[Item]) -> str | None:
    reasons = {item.short_reason for item in items if item.short_reason}
    return reasons.pop() if len(reasons) == 1 else None


def _digest(entry: IndexEntry) -> str:
    written = json.dumps([entry.dag_id, entry.run_id, entry.task_id])
    return hashlib.sha256(written.encode()).hexdigest()[:20]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None
