"""
Keeping a ledger on storage that can't append.

What changes is written as small, whole files, many lines at a time, and merged into the ledger now and then: the
same on a local disk and in an object store. A crash at any moment leaves files that can be read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.batch.ledger import LedgerEntry, entry_from_json, newest
from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.atomic_write import PARTIAL, write_whole

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

# Submits that become due within this time share one write.
_GATHER_SECONDS = 0.05
# What nobody waits for is written after this time.
_LAZY_SECONDS = 1.0
_MOST_SEGMENTS = 64
# Many a reader takes them for the end of a line, though JSON allows them inside of a string.
_SEPARATORS = {ord(each): f"\\u{ord(each):04x}" for each in "\u0085\u2028\u2029"}


class Journal:
    """
    Makes the lines of one ledger durable.

    :param folder: Where the ledger lies.
    :param name: Names the ledger's files; the same in every try of the task.
    :raises ApimartDestinationError: If there can be no such folder.
    """

    def __init__(self, folder: str | ObjectStoragePath, name: str) -> None:
        path = _path(folder)
        self.ledger = path / f"{name}.ledger.jsonl"
        self._segments = path / ".apimart" / name
        self._names: list[str] = []
        self._number = 0
        # Another process of the same task, thought dead and alive after all, must not write over this one's files.
        self._writer = secrets.token_hex(3)
        self._pending: dict[str, LedgerEntry] = {}
        self._noted = self._durable = 0
        self._writing: asyncio.Task[None] | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._lines: dict[str, LedgerEntry] = {}

    def load(self) -> dict[str, LedgerEntry]:
        """
        Return what earlier tries have written, after seeing that the folder can be written to.

        :raises ApimartDestinationError: If the folder can't be read or written. Nothing was submitted.
        """
        try:
            self._write_segment([])
            there = list(self._segments.iterdir())
            self._names = sorted(path.name for path in there if path.name.endswith(".jsonl"))
            self._number = max((int(name.partition("-")[0]) for name in self._names), default=0)
            self._lines = newest(self._earlier())
            for path in there:
                if path.name.endswith(PARTIAL):
                    path.unlink(missing_ok=True)
            return dict(self._lines)
        except Exception as error:
            # Any error: the storage libraries raise what they like.
            raise _unusable(self.ledger, error) from error

    def note(self, entry: LedgerEntry) -> None:
        """Take a line, to be written soon."""
        self._pending[entry.id] = self._lines[entry.id] = entry
        self._noted += 1
        if self._lazy is None:
            self._lazy = asyncio.get_running_loop().call_later(_LAZY_SECONDS, self._start_writing)

    async def flush(self) -> None:
        """
        Return when every line noted so far is durable.

        :raises ApimartDestinationError: If it can't be written.
        """
        noted = self._noted
        while self._durable < noted:
            await asyncio.shield(self._start_writing())

    def merge(self) -> None:
        """
        Write the whole ledger and remove the small files that it replaces.

        :raises ApimartDestinationError: If it can't be written.
        """
        lines = list(self._lines.values())
        lines.sort(key=lambda entry: entry.position)
        self._written(lambda: write_whole(self.ledger, _text(lines)))
        for name in self._names:
            (self._segments / name).unlink(missing_ok=True)
        self._names = []

    def _start_writing(self) -> asyncio.Task[None]:
        if self._lazy:
            self._lazy.cancel()
            self._lazy = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
            # Whoever waits is told; where nobody does, the next flush tries again and tells.
            self._writing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._writing

    async def _write(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        lines, noted = self._pending, self._noted
        self._pending = {}
        try:
            await asyncio.to_thread(self._written, lambda: self._write_segment(lines.values()))
        except BaseException:
            self._pending = lines | self._pending
            raise
        self._durable = noted
        if len(self._names) > _MOST_SEGMENTS:
            await asyncio.to_thread(self.merge)

    def _write_segment(self, lines: Iterable[LedgerEntry]) -> None:
        self._number += 1
        name = f"{self._number:06}-{self._writer}.jsonl"
        write_whole(self._segments / name, _text(lines))
        self._names.append(name)

    def _written(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            # Any error: the storage libraries raise what they like.
            raise ApimartDestinationError(
                f"The batch's ledger couldn't be written at {self.ledger} ({root_reason(error)}). Nothing more is "
                "submitted; mend the destination, and a retry goes on where this try stopped"
            ) from error

    def _earlier(self) -> Iterator[LedgerEntry]:
        if self.ledger.exists():
            yield from read_lines(self.ledger.read_text(encoding="utf-8"))
        for name in self._names:
            yield from read_lines((self._segments / name).read_text(encoding="utf-8"))


def _path(folder: str | ObjectStoragePath) -> ObjectStoragePath:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        return ObjectStoragePath(folder)
    except Exception as error:
        # Any error: the protocol may be unknown, and its library not installed.
        raise _unusable(folder, error) from error


def _unusable(place: str | ObjectStoragePath, error: Exception) -> ApimartDestinationError:
    return ApimartDestinationError(
        f"The batch's ledger can't be kept at {place} ({root_reason(error)}). Nothing was submitted and nothing "
        "charged in this try; mend the destination"
    )


def read_lines(text: str) -> Iterator[LedgerEntry]:
    """
    Return the lines of a ledger.

    :raises ValueError: If a line but the last can't be read; the last may have been cut off by a crash.
    """
    # Not splitlines(): it splits at characters that may stand inside of a JSON string.
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        try:
            yield entry_from_json(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise
            log.warning("The last line of a ledger's file is cut off; the item is taken up from what is known before")


def _text(lines: Iterable[LedgerEntry]) -> bytes:
    return "".join(f"{_line(entry)}\n" for entry in lines).encode()


def _line(entry: LedgerEntry) -> str:
    return json.dumps(entry.to_json(), ensure_ascii=False).translate(_SEPARATORS)
