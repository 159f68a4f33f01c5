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
_MOST_FAILURES = 2


class IndexFile:
    """
    The entries of one task. Each is written again while the task goes on, and nobody else writes them.

    :param place: Directory or URI below which the index is; by default ``[apimart] ledger_path``.
    """

    def __init__(self, place: str | None = None) -> None:
        self._place = place
        self._folder: ObjectStoragePath | None = None
        self._writing: _Writing | None = None
        self._failures = 0

    def write(self, entry: IndexEntry, *, is_last: bool = True) -> None:
        """
        Write the entry, and return when it is written, has failed, or takes too long.

        While an earlier write takes too long, an entry is written after it. After a second failure nothing more is
        written: what the pages lack isn't worth the time of a task.

        :param is_last: Whether nothing newer follows, so that a slow write is waited for once more.
        """
        if self._failures >= _MOST_FAILURES:
            return
        try:
            self._write(replace(entry, updated=datetime.now(UTC)), is_last=is_last)
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            if not self._failures:
                log.warning("The pages of APIMart in Airflow will lack this task, which continues: %s", error)
            self._failures, self._writing = self._failures + 1, None

    def _write(self, entry: IndexEntry, *, is_last: bool) -> None:
        writing = self._writing if self._writing and self._writing.takes(entry) else None
        if writing and not is_last:
            return
        self._folder = self._folder or _month_of(self._place or ledger_path())
        self._writing = writing or _Writing(self._folder, entry)
        if not self._writing.wait(_LONGEST_WRITE):
            log.warning(
                "APIMart's pages in Airflow lack this task until its entry is written: %s hasn't answered in %.0f s",
                self._folder,
                _LONGEST_WRITE,
            )


class _Writing:
    """Writes in a thread of their own, which nobody waits for longer than he wants to: one, and those that follow."""

    def __init__(self, folder: ObjectStoragePath, entry: IndexEntry) -> None:
        self._folder = folder
        # By their names: of the same entry only the newest is written.
        self._next = {entry.name: entry}
        self._lock = threading.Lock()
        self._has_ended = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="apimart-index", daemon=True)
        self._thread.start()

    def takes(self, entry: IndexEntry) -> bool:
        """Write an entry after those that are being written, and return whether that is still possible."""
        with self._lock:
            if not self._has_ended:
                self._next[entry.name] = entry
            return not self._has_ended

    def wait(self, seconds: float) -> bool:
        """
        Wait for the end of the writes, and return whether they have ended.

        :raises Exception: What a write has raised.
        """
        self._thread.join(seconds)
        if self._error:
            raise self._error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (entry := self._taken()) is not None:
                content = json.dumps(entry.to_json(), ensure_ascii=False).encode()
                Folder(self._folder).write(f"{entry.name}{SUFFIX}", content)
        except Exception as error:
            # Any error: it is raised where it is waited for, if anybody still waits.
            log.debug("An entry of the index could not be written", exc_info=True)
            with self._lock:
                self._error, self._has_ended = error, True

    def _taken(self) -> IndexEntry | None:
        with self._lock:
            self._has_ended = not self._next
            return None if self._has_ended else self._next.pop(next(iter(self._next)))


def _month_of(place: str) -> ObjectStoragePath:
    return storage_path(place) / INDEX / f"{datetime.now(UTC):%Y-%m}"
