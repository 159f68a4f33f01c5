"""Writing of the index. A failure to write is logged and fails nothing."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.ledger_path import ledger_path
from airflow_provider_apimart.results.storage.paths import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_apimart.page_index.entry import IndexEntry

log = logging.getLogger(__name__)

INDEX = "index"
"""Directory of the index below ``[apimart] ledger_path``; it has one for each month."""

SUFFIX = ".json"

# A storage that hangs must not hold up a task that has paid.
_LONGEST_WRITE = 10.0


class IndexFile:
    """
    The file of one entry. It is written again while the task goes on, and nobody else writes it.

    :param place: Directory or URI below which the index is; by default ``[apimart] ledger_path``.
    """

    def __init__(self, place: str | None = None) -> None:
        self._place = place
        self._folder: ObjectStoragePath | None = None
        self._has_failed = False

    def write(self, entry: IndexEntry) -> None:
        """
        Write the entry, and return when it is written, has failed, or takes too long.

        After a failure nothing more is written: what the pages lack isn't worth the time of a task.
        """
        if self._has_failed:
            return
        try:
            self._folder = self._folder or _month_of(self._place or ledger_path())
            writing = _Writing(self._folder, replace(entry, updated=datetime.now(UTC)))
            writing.wait(_LONGEST_WRITE)
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            self._has_failed = True
            log.warning("The pages of APIMart in Airflow will lack this task, which continues: %s", error)


class _Writing:
    """One write in a thread of its own, which nobody waits for longer than he wants to."""

    def __init__(self, folder: ObjectStoragePath, entry: IndexEntry) -> None:
        self._folder = folder
        self._entry = entry
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="apimart-index", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """
        Wait for the end of the write.

        :raises TimeoutError: If it takes longer.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"{self._folder} hasn't answered for {seconds:.0f} s")
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            content = json.dumps(self._entry.to_json(), ensure_ascii=False).encode()
            Folder(self._folder).write(f"{self._entry.name}{SUFFIX}", content)
        except Exception as error:
            # Any error: it is raised where it is waited for.
            self._error = error


def _month_of(place: str) -> ObjectStoragePath:
    return storage_path(place) / INDEX / f"{datetime.now(UTC):%Y-%m}"
