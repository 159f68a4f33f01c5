"""Records of single generations and of batches: those that may be removed, and their removal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.file_record import RECORDS
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.retention import Retention, retention
from airflow_provider_apimart.exceptions import ApimartRecordError
from airflow_provider_apimart.results.storage.receipts import FOLDER

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


@dataclass(frozen=True)
class OldRecord:
    """
    A record that is there.

    :param retention: Whether it may be removed, ``None`` if it can't be read: it stays then.
    :param files: The number of its files.
    :param bytes: Their size.
    """

    retention: Retention | None
    files: int
    bytes: int
    _facts: FactFiles

    def remove(self) -> bool:
        """Remove it, and return whether it was removed: it stays if a task has written to it since it was read."""
        return self._facts.remove()


def records_of_tasks(place: ObjectStoragePath, age: timedelta, now: float) -> Iterator[OldRecord]:
    """
    Go through the records of tasks with one generation, except for months that can only hold young ones.

    :param place: The directory of ``[apimart] ledger_path``.
    :param now: The Unix time.
    """
    newest = f"{datetime.fromtimestamp(now, UTC) - age:%Y-%m}"
    for month in sorted(Folder(place / RECORDS).names()):
        if month <= newest:
            yield from _records(place / RECORDS / month, age, now)


def records_of_batches(place: ObjectStoragePath, age: timedelta, now: float) -> Iterator[OldRecord]:
    """
    Go through the records of batches whose ledgers lie in a directory. The ledgers stay.

    :param now: The Unix time.
    """
    yield from _records(place / FOLDER, age, now)


def _records(place: ObjectStoragePath, age: timedelta, now: float) -> Iterator[OldRecord]:
    for name in Folder(place).directories():
        facts = FactFiles(place / name)
        if record := _record(facts, age, now):
            yield record


def _record(facts: FactFiles, age: timedelta, now: float) -> OldRecord | None:
    """Return the record in a directory, ``None`` if there is none."""
    sizes = facts.folder.sizes()
    try:
        known = facts.load()
    except ApimartRecordError:
        return OldRecord(None, len(sizes), sum(sizes), facts)
    return OldRecord(retention(known, age, now), len(sizes), sum(sizes), facts) if known else None
