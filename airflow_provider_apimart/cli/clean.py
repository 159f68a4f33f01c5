"""Command ``airflow apimart clean``."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.cli.connection import find_connections
from airflow_provider_apimart.durable.ledger_path import ledger_path
from airflow_provider_apimart.durable.old_records import OldRecord, records_of_batches, records_of_tasks
from airflow_provider_apimart.durable.retention import Retention
from airflow_provider_apimart.exceptions import ApimartError, ApimartRecordError
from airflow_provider_apimart.html.formatting import bytes_words
from airflow_provider_apimart.library.old_files import leftovers_of_library, old_entries, old_packs, old_references
from airflow_provider_apimart.library.options import library_path
from airflow_provider_apimart.results.storage.leftovers import (
    RemovableFile,
    leftovers_below,
    leftovers_of_this_machine,
)
from airflow_provider_apimart.results.storage.paths import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_AGE = re.compile(r"(\d{1,5}) *([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_UNFINISHED = ("unfinished file of a killed process", "unfinished files of killed processes")
_KEPT = {
    Retention.PROTECTS_MONEY: "needed for what may have been paid",
    Retention.YOUNG: "not old enough, or in use",
    None: "not readable",
}


@suppress_logs_and_warning
@providers_configuration_loaded
def clean(args: Any) -> None:
    """Remove what is old, and print a sentence for each kind."""
    age = age_of(args.older_than)
    if age is None:
        raise SystemExit(f"Invalid --older-than: {args.older_than!r} is not an age such as 12h, 90d or 8w")
    find_connections()
    cleaning = Cleaning(age, time.time(), removes=not args.dry_run)
    configured = filter(None, (ledger_path(), library_path()))
    for place in dict.fromkeys(map(_uri, (*configured, *args.directory))):
        try:
            print(*cleaning.of_place(storage_path(place)), sep="\n")
        except ApimartError as error:
            raise SystemExit(str(error)) from None
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            raise SystemExit(f"{place} can't be cleaned: {root_reason(error)}. Nothing more was removed") from None
    print(*cleaning.of_this_machine(), sep="\n")


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

    def of_place(self, place: ObjectStoragePath) -> list[str]:
        """Remove what is old in a directory, and return the sentences about it."""
        tasks, batches = (find(place, self.age, self.now) for find in (records_of_tasks, records_of_batches))
        return self._report(
            str(place),
            *self._of_records("record of a single generation", "records of single generations", tasks),
            *self._of_records("record of a batch", "records of batches", batches),
            *self._of_files("entry of the library", "entries of the library", old_entries(place, self._before)),
            *self._of_files("pack of entries", "packs of entries", old_packs(place, self._before)),
            *self._of_files("note of an upload", "notes of uploads", old_references(place, self._before)),
            *self._of_files(
                *_UNFINISHED, chain(leftovers_below(place, self._before), leftovers_of_library(place, self._before))
            ),
        )

    def of_this_machine(self) -> list[str]:
        """Remove what killed processes have left on this machine, and return the sentences about it."""
        leftovers = leftovers_of_this_machine(self._before)
        return self._report("this machine's temporary directory", *self._of_files(*_UNFINISHED, leftovers))

    @property
    def _before(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC) - self.age

    def _report(self, place: str, *clauses: str) -> list[str]:
        if not clauses:
            return [f"Nothing to remove at {place}."]
        return [clause.format(verb="Removed" if self.removes else "Would remove", place=place) for clause in clauses]

    def _of_records(self, one: str, many: str, records: Iterable[OldRecord]) -> Iterator[str]:
        gone: list[OldRecord] = []
        kept: Counter[Retention | None] = Counter()
        for record in records:
            retention = self._after_removal(record)
            if retention is Retention.REMOVABLE:
                gone.append(record)
            else:
                kept[retention] += 1
        if gone:
            files = _count(sum(each.files for each in gone), "file", "files")
            size = bytes_words(sum(each.bytes for each in gone))
            yield f"{{verb}} {_count(len(gone), one, many)} ({files}, {size}) at {{place}}."
        for retention, reason in _KEPT.items():
            if kept[retention]:
                yield f"Kept {_count(kept[retention], one, many)} at {{place}}: {reason}."

    def _after_removal(self, record: OldRecord) -> Retention | None:
        """Remove a record that may be removed, and return why it stays, or that it doesn't."""
        if record.retention is not Retention.REMOVABLE or not self.removes:
            return record.retention
        try:
            return Retention.REMOVABLE if record.remove() else Retention.YOUNG
        except ApimartRecordError:
            return None

    def _of_files(self, one: str, many: str, found: Iterable[RemovableFile]) -> Iterator[str]:
        number = size = 0
        for file in found:
            if self.removes:
                file.remove()
            number, size = number + 1, size + file.bytes
        if number:
            yield f"{{verb}} {_count(number, one, many)} ({bytes_words(size)}) at {{place}}."


def _uri(written: str) -> str:
    # Not as_uri(): a percent-encoded space would be taken as it is.
    return written if "://" in written else f"file://{Path(written).absolute()}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
