"""Command ``airflow apimart clean``."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.cli.connection import find_connections
from airflow_provider_apimart.durable.ledger_path import ledger_path, storage_path
from airflow_provider_apimart.durable.old_records import OldRecord, records_of_batches, records_of_tasks
from airflow_provider_apimart.durable.retention import Retention
from airflow_provider_apimart.exceptions import ApimartError, ApimartRecordError
from airflow_provider_apimart.results.storage.leftovers import Leftover, leftovers_below, leftovers_of_this_machine

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_AGE = re.compile(r"(\d{1,5}) *([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_KEPT = {
    Retention.PROTECTS_MONEY: "what was paid may be lost without them",
    Retention.YOUNG: "they are younger, or a task writes to them",
    None: "they can't be read",
}


@suppress_logs_and_warning
@providers_configuration_loaded
def clean(args: Any) -> None:
    """Remove old records and leftovers, and print a sentence for each kind."""
    age = age_of(args.older_than)
    if age is None:
        raise SystemExit(f"Invalid --older-than: {args.older_than!r} is not an age such as 12h, 90d or 8w")
    find_connections()
    cleaning = Cleaning(age, time.time(), removes=not args.dry_run)
    for place in dict.fromkeys([ledger_path(), *map(_uri, args.directory)]):
        try:
            for sentence in cleaning.of_place(storage_path(place)):
                print(sentence)
        except ApimartError as error:
            raise SystemExit(str(error)) from None
        except Exception as error:
            # Any error: the storage libraries raise what they like.
            raise SystemExit(f"{place} can't be cleaned: {root_reason(error)}. Nothing more was removed") from None
    print(cleaning.of_this_machine())


def age_of(written: str) -> timedelta | None:
    """Return an age such as ``90d``, ``None`` if it is none."""
    found = _AGE.fullmatch(written.strip())
    return int(found[1]) * _UNITS[found[2]] if found else None


@dataclass(frozen=True)
class Cleaning:
    """
    One run of the command.

    :param age: The least age of what is removed.
    :param now: The Unix time.
    :param removes: Whether anything is removed, or only counted.
    """

    age: timedelta
    now: float
    removes: bool

    def of_place(self, place: ObjectStoragePath) -> Iterator[str]:
        """Remove what is old in a directory, and go through the sentences about it."""
        tasks = records_of_tasks(place, self.age, self.now)
        yield from self._of_records("record of a single generation", "records of single generations", tasks, place)
        batches = records_of_batches(place, self.age, self.now)
        yield from self._of_records("record of a batch", "records of batches", batches, place)
        yield self._of_leftovers(leftovers_below(place, self._before), str(place))

    def of_this_machine(self) -> str:
        """Remove what killed processes have left on this machine, and return the sentence about it."""
        return self._of_leftovers(leftovers_of_this_machine(self._before), "this machine's temporary directory")

    @property
    def _before(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC) - self.age

    @property
    def _verb(self) -> str:
        return "Removed" if self.removes else "Would remove"

    def _of_records(self, one: str, many: str, records: Iterable[OldRecord], place: ObjectStoragePath) -> Iterator[str]:
        gone: list[OldRecord] = []
        kept: Counter[Retention | None] = Counter()
        for record in records:
            retention = self._after_removal(record)
            if retention is Retention.REMOVABLE:
                gone.append(record)
            else:
                kept[retention] += 1
        size = f"{_count(sum(each.files for each in gone), 'file', 'files')}, {_size(sum(each.bytes for each in gone))}"
        yield f"{self._verb} {_count(len(gone), one, many)} ({size}) at {place}."
        for retention, reason in _KEPT.items():
            if kept[retention]:
                yield f"Kept {_count(kept[retention], one, many)} at {place}: {reason}."

    def _after_removal(self, record: OldRecord) -> Retention | None:
        """Remove a record that may be removed, and return why it stays, or that it doesn't."""
        if record.retention is not Retention.REMOVABLE or not self.removes:
            return record.retention
        try:
            return Retention.REMOVABLE if record.remove() else Retention.YOUNG
        except ApimartRecordError:
            return None

    def _of_leftovers(self, leftovers: Iterable[Leftover], place: str) -> str:
        files = size = 0
        for leftover in leftovers:
            if self.removes:
                leftover.remove()
            files, size = files + 1, size + leftover.bytes
        what = _count(files, "unfinished file", "unfinished files")
        return f"{self._verb} {what} of killed processes ({_size(size)}) at {place}."


def _uri(written: str) -> str:
    return written if "://" in written else Path(written).absolute().as_uri()


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
