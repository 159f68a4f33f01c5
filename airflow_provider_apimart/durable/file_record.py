"""
Records of tasks with one generation as files, where Airflow has no state store (below 3.3).

A record is in ``records/<month>/<task instance>/`` below ``[apimart] ledger_path``. It is looked for in this month
and the last one, so it is found for at least a month after the first submit; on the last day of a month also in the
next one, which has begun by another machine's clock. Older months are removed by tasks that begin a new record, a
bounded number of files at a time.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.durable.fact_files import FactFiles, is_of_record
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.fence import overtaken
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.item_record import ItemRecord, fold
from airflow_provider_apimart.durable.record import record_errors
from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of
from airflow_provider_apimart.exceptions import ApimartDestinationError, ApimartError
from airflow_provider_apimart.results.storage.paths import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

RECORDS = "records"

_MONTH = re.compile(r"\d{4}-\d{2}")

# Often enough that old months go away, seldom enough that it costs nothing that anyone notices.
_CLEANING_CHANCE = 0.1
_MOST_REMOVED = 300


class FileRecord:
    """
    The record of a task's generation in files.

    :param place: Directory or URI below which all records are.
    :param task: The identity of the task instance.
    :param clock: The Unix time.
    :raises ApimartDestinationError: If there can be no such directory.
    """

    def __init__(self, place: str, task: TaskIdentity, clock: Callable[[], float] = time.time) -> None:
        self._records = storage_path(place) / RECORDS
        self._name = file_name_of(task)
        self._clock = clock
        self._files: FactFiles | None = None
        self._known = ItemRecord()
        self._is_claimed = False

    def read(self) -> ItemRecord:
        """Return what all tries have noted. It is read once; later facts of this process are added."""
        self._opened()
        return self._known

    def note(self, kind: FactKind, **details: Any) -> None:
        """Write a fact; it is durable when it returns."""
        files = self._opened()
        fact = Fact(kind, "", self._clock(), details)
        files.append([fact])
        self._known = self._known.with_fact(fact)

    def before_post(self) -> None:
        """Claim the record for this try, and check that no newer one has done so."""
        files = self._opened()
        if not self._is_claimed:
            files.claim()
            if files.others_wrote():
                # What this try has decided on isn't all that is known by now.
                raise overtaken()
            self._is_claimed = True
        else:
            files.check_fence()

    def _opened(self) -> FactFiles:
        if self._files is None:
            try:
                self._files = self._open()
            except ApimartError:
                raise
            except Exception as error:
                # Any error: storage libraries raise errors of any class.
                raise ApimartDestinationError(
                    f"The record of what was paid can't be read at {self._records} ({root_reason(error)}). Nothing was "
                    "submitted. Check [apimart] ledger_path and its connection; a retry reads it again"
                ) from error
        return self._files

    def _open(self) -> FactFiles:
        today = datetime.fromtimestamp(self._clock(), UTC)
        last_month = today.replace(day=1) - timedelta(days=1)
        for month in dict.fromkeys(map(_label, (today, today + timedelta(days=1), last_month))):
            files = FactFiles(self._records / month / self._name)
            if facts := files.load():
                self._known = fold(facts)[""]
                with record_errors(str(files.folder)):
                    self._known.check()
                return files
        if random.random() < _CLEANING_CHANCE:
            remove_old_records(self._records, _label(last_month))
        return FactFiles(self._records / _label(today) / self._name)


def remove_old_records(records: ObjectStoragePath, oldest: str, most: int = _MOST_REMOVED) -> int:
    """
    Remove records of months before one, and return how many files were removed.

    :param oldest: The first month that stays, such as ``2026-10``.
    :param most: No more files than this are removed.
    """
    removed = 0
    try:
        for month in months_of(records):
            if month < oldest:
                removed += _remove_month(records / month, most - removed)
    except Exception as error:
        # Any error: storage libraries raise errors of any class, and another task cleans too.
        log.info("Old records at %s weren't all removed: %s", records, root_reason(error))
    return removed


def _remove_month(month: ObjectStoragePath, most: int) -> int:
    removed = 0
    for name in Folder(month).names():
        folder = Folder(month / name)
        for file in filter(is_of_record, folder.names()):
            if removed >= most:
                return removed
            folder.remove(file)
            removed += 1
        folder.remove_itself()
    Folder(month).remove_itself()
    return removed


def months_of(records: ObjectStoragePath) -> list[str]:
    """Return the names of the months that have records; other directories there are somebody else's."""
    return sorted(name for name in Folder(records).names() if _MONTH.fullmatch(name))


def _label(month: datetime) -> str:
    return f"{month:%Y-%m}"
