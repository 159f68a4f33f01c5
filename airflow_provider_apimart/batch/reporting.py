"""Entry of a batch in the index that the pages in Airflow's interface read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.json_values import mapping, money
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.summary import BatchCounts
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of
from airflow_provider_apimart.page_index.entry import IndexEntry, Kind, Outcome, State, spending_of
from airflow_provider_apimart.page_index.writing import IndexFile

log = logging.getLogger(__name__)

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0
_GROWTH = 1.5
_COUNTS = ("items", *(status.value for status in ItemStatus), "unsaved", "files")


@dataclass(frozen=True)
class BatchNow:
    """
    A batch as it is at a moment.

    :param in_flight: Number of running generations.
    :param ends_at: Its expected end, ``None`` if it can't be said.
    :param stopped_by: Why nothing further is submitted, ``None`` if nothing stops it.
    """

    ledger: Ledger
    counts: BatchCounts
    in_flight: int = 0
    ends_at: datetime | None = None
    stopped_by: str | None = None


class BatchReports:
    """
    Reports on one try of a batch, for the index.

    :param ledger_uri: URI of the batch's ledger.
    :param destination: URI of the directory of ledger and files.
    """

    def __init__(self, plan: BatchPlan, ledger_uri: str, destination: str, file: IndexFile | None = None) -> None:
        self._file = file or IndexFile()
        self._now: Callable[[], BatchNow] | None = None
        self._last = IndexEntry(
            name=file_name_of(plan.task),
            kind=Kind.BATCH,
            **task_fields(plan.task),
            task_try=plan.task_try,
            began=datetime.fromtimestamp(plan.started_at or time.time(), UTC),
            ledger=ledger_uri,
            destination=destination,
        )

    async def repeat(self, now: Callable[[], BatchNow]) -> None:
        """
        Report again and again, after pauses that grow to half a minute.

        :param now: Returns the batch as it is at a moment.
        """
        self._now = now
        seconds = _FIRST_SECONDS
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._file.write, self._entry(now(), State.RUNNING), is_last=False)
            seconds = min(_LONGEST_SECONDS, seconds * _GROWTH)

    def end(self, now: BatchNow, state: State) -> None:
        """Report the end of the try, or that it waits in the triggerer."""
        self._file.write(self._entry(now, state))

    def interrupted(self, error: BaseException) -> None:
        """Report that an error ended the try."""
        reason = str(error) or type(error).__name__
        entry = self._last
        if self._now:
            try:
                entry = self._entry(self._now(), State.INTERRUPTED)
            except Exception:
                # Any error: it must not hide the one that ended the try.
                log.debug("The batch can't be counted", exc_info=True)
        self._file.write(replace(entry, state=State.INTERRUPTED, in_flight=0, ends_at=None, reason=reason))

    def _entry(self, now: BatchNow, state: State) -> IndexEntry:
        entries = [*now.ledger.entries, *now.ledger.left_behind]
        counts: dict[str, Any] = now.counts.to_json()
        spending = spending_of(map(_outcome, entries), datetime.now(UTC))
        self._last = replace(
            self._last,
            state=state,
            counts={name: counts[name] for name in _COUNTS},
            in_flight=now.in_flight,
            ends_at=now.ends_at,
            cost=sum((row.cost for row in spending), Decimal(0)),
            quoted=sum(filter(None, map(_quoted, entries)), Decimal(0)),
            reason=now.stopped_by,
            spending=spending,
        )
        return self._last


def task_fields(task: TaskIdentity) -> dict[str, Any]:
    """Return the fields of an entry that name its task instance."""
    return {name: getattr(task, name) for name in ("dag_id", "task_id", "run_id", "map_index")}


def _outcome(entry: LedgerEntry) -> Outcome:
    at = entry.saved if entry.status is ItemStatus.REUSED else entry.completed
    return Outcome(entry.status.value, entry.model, at, entry.total_cost or None, _quoted(entry), entry.saved_cost)


def _quoted(entry: LedgerEntry) -> Decimal | None:
    return money(mapping(entry.quote).get("cost"))
