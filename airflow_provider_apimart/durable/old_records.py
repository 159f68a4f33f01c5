"""Records of single generations and of batches: those that may be removed, and their removal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.durable.file_record import RECORDS, months_of
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.ledger_path import LEDGER_SUFFIX
from airflow_provider_apimart.durable.retention import Retention, is_in_ledger, retention
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
    for month in months_of(place / RECORDS):
        for name in Folder(place / RECORDS / month).directories() if month <= newest else ():
            yield from _record(place / RECORDS / month / name, lambda facts: retention(facts, age, now))


def records_of_batches(place: ObjectStoragePath, age: timedelta, now: float) -> Iterator[OldRecord]:
    """
    Go through the records of batches whose ledgers are in a directory. The ledgers stay.

    :param now: The Unix time.
    """
    for name in Folder(place / FOLDER).directories():
        yield from _record(place / FOLDER / name, partial(_of_batch, age=age, now=now, place=place, name=name))


def _of_batch(facts: list[Fact], age: timedelta, now: float, place: ObjectStoragePath, name: str) -> Retention:
    found = retention(facts, age, now)
    if found is Retention.REMOVABLE and not is_in_ledger(facts, _read(Folder(place), f"{name}{LEDGER_SUFFIX}")):
        # The batch was killed before it wrote its ledger, and nothing else knows of them.
        return Retention.PROTECTS_MONEY
    return found


def _read(folder: Folder, name: str) -> bytes:
    with suppress(FileNotFoundError):
        return folder.read(name)
    return b""


def _record(folder: ObjectStoragePath, judge: Callable[[list[Fact]], Retention]) -> Iterator[OldRecord]:
    """Return the record in a directory, if there is one."""
    facts = FactFiles(folder)
    sizes = facts.folder.sizes()
    try:
        known = facts.load()
    except ApimartRecordError:
        yield OldRecord(None, len(sizes), sum(sizes), facts)
        return
    if known:
        yield OldRecord(judge(known), len(sizes), sum(sizes), facts)
