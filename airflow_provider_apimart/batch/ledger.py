"""
Ledger of a batch in memory: the items with their facts and their lines.

A line is a view of the item's facts (:mod:`airflow_provider_apimart.durable.facts`). No payment depends on the file of
lines that people read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.json_values import JsonObject, plain
from airflow_provider_apimart.batch.entry_from_facts import end_of, entry_of_attempt, entry_of_record
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.batch.ledger_entry import JsonObjects, LedgerEntry
from airflow_provider_apimart.batch.todo import Todo, todo_of
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.durable.paid_once import note_end


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
        ends = (
            end_of(each) for each in attempts if each.fingerprint == self._fingerprints[item_id] and each.has_failed
        )
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
        entry, attempt = self._entries[item_id], self._attempt(item_id)
        return todo_of(entry, attempt, self._clear_marker, self._started_at, saves=saves)

    def _attempt(self, item_id: str) -> Attempt | None:
        return self._records[item_id].latest(self._fingerprints[item_id])

    def _entry(self, item_id: str) -> LedgerEntry:
        item, record = self._items[item_id], self._records[item_id]
        fingerprint = self._fingerprints[item_id]
        modality, payload = item.request.modality.value, item.request.payload
        return entry_of_attempt(
            item_id, item.position, modality, payload, record, record.latest(fingerprint), fingerprint
        )


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
