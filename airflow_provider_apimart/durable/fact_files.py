"""
Files of facts in a directory of any object storage.

Every writer, which is one process of one try, adds only files of its own name, numbered from 1, and never changes one.
So writers that live at the same time can't overwrite each other. Four rules make the files safe to read:

* A line ends with a checksum, and a file begins with the number of its lines: damage is noticed.
* The numbers of a writer have no gap: a file that is missing is noticed.
* A compaction names the files that it replaces, and deletes them only after it was read back.
* ``fence.json`` names the newest writer, who alone may submit, and all writers that have files: what a listing doesn't
  show yet is found by its name.

What can't be read raises; it is never taken for "nothing was paid". The exceptions are two files on a storage that
writes in place, whose writer was killed before they were whole, and has done nothing after it: its last file of facts,
and the fence. While the fence can't be read, nobody may submit; the next writer replaces it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_apimart.durable import text_lines
from airflow_provider_apimart.durable.checksummed_json import with_checksum
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.durable.fence import FENCE, Fence, read_fence, superseded
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.record import record_errors
from airflow_provider_apimart.durable.segment import (
    SUFFIX,
    Segment,
    UnfinishedError,
    segment_from_bytes,
    segment_name,
)
from airflow_provider_apimart.results.storage.atomic_write import PARTIAL

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_NAME = re.compile(r"([0-9a-f]+)-(\d+)" + re.escape(SUFFIX))
# Another process may compact while this one reads.
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


def is_of_record(name: str) -> bool:
    """Whether a file in the directory of a record is one of the record's, or what a killed writer has left of one."""
    return name == FENCE or _NAME.fullmatch(name) is not None or (name.startswith(".") and name.endswith(PARTIAL))


class _MissingError(ValueError):
    """A file that should be there isn't: another process has just replaced it, or it is lost."""


class FactFiles:
    """
    The facts of one record, and a writer of its own.

    It blocks, and is used by one thread at a time.

    :param folder: The directory of the record, which need not exist.
    """

    def __init__(self, folder: ObjectStoragePath) -> None:
        self.folder = Folder(folder)
        self.writer = secrets.token_hex(6)
        self.written = 0
        self._writers: frozenset[str] = frozenset()
        self._shown: frozenset[str] = frozenset()

    def load(self) -> list[Fact]:
        """
        Return all facts that any writer has written.

        :raises ApimartRecordError: If something of them can't be read.
        """
        with record_errors(str(self.folder)):
            return [fact for segment in self.segments() for fact in segment.facts()]

    def append(self, facts: Iterable[Fact]) -> None:
        """Write facts as one file of this writer; they are durable when it returns."""
        body = text_lines.to_bytes(with_checksum(fact.to_json()) for fact in facts)
        segment = Segment(self.writer, self.written + 1, body)
        self._write(segment.number, segment.to_bytes())

    def claim(self) -> None:
        """
        Make this writer the one that may submit; it needs a file before.

        :raises ApimartSupersededError: If another one has claimed at the same moment.
        """
        self.folder.write(FENCE, Fence(self.writer, self._writers | {self.writer}).to_bytes())
        self.check_fence()

    def check_fence(self) -> None:
        """
        Check that no newer writer has begun.

        :raises ApimartSupersededError: If one has, or may be about to.
        """
        with record_errors(str(self.folder)):
            fence = read_fence(self.folder)
        if fence is not None and fence.owner != self.writer:
            raise superseded()

    def others_wrote(self) -> bool:
        """Whether another writer has added files since :meth:`load`; after :meth:`claim` none submits any more."""
        added = set(self.folder.names()) - self._shown
        return any(match and match[1] != self.writer for match in map(_NAME.fullmatch, added))

    def compact(self) -> None:
        """
        Write all facts as one file of this writer, and remove the files that it replaces.

        :raises ApimartRecordError: If something can't be read. Nothing is removed then.
        """
        number = self.written + 1
        name = segment_name(self.writer, number)
        with record_errors(str(self.folder)):
            content, replaced = self._compacted(number)
            self._write(number, content)
            written = hashlib.sha256(content).digest()
            # It is large, and a storage library that reads holds two more copies for a moment.
            del content
            try:
                found = hashlib.sha256(self.folder.read(name)).digest()
            except FileNotFoundError:
                # A rival has compacted in between: it has read this file, and removes what it replaces.
                return
            if found != written:
                raise ValueError(f"{name} was written and reads otherwise")
        for each in replaced:
            self.folder.remove(each)

    def _compacted(self, number: int) -> tuple[bytes, list[str]]:
        """Return the content of a file that replaces all files, and their names."""
        segments = self.segments()
        names, marks = [segment.name for segment in segments], _marks(segments, with_own=True)
        body = text_lines.to_bytes(text_lines.distinct(line for segment in segments for line in segment.lines()))
        # All of them are large: at most two are in memory at once.
        del segments
        return Segment(self.writer, number, body, marks).to_bytes(), names

    def remove(self) -> bool:
        """
        Remove the record, unless another writer has added files since :meth:`load`. Return whether it was removed.

        At each moment before the last one, all of it can be read: first all facts are written as one file.

        :raises ApimartRecordError: If something can't be read. Nothing is removed then.
        """
        if self.others_wrote():
            return False
        self.compact()
        last = segment_name(self.writer, self.written)
        if any(_NAME.fullmatch(name) and name != last for name in self.folder.names()):
            return False
        for name in (FENCE, last):
            self.folder.remove(name)
        self.folder.remove_partial()
        self.folder.remove_itself()
        return True

    def segments(self) -> list[Segment]:
        """
        Return all files.

        :raises ValueError: If one is missing, damaged, or of a newer version.
        """
        for seconds in _PAUSES_SECONDS:
            try:
                return self._segments()
            except _MissingError:
                time.sleep(seconds)
        return self._segments()

    def _segments(self) -> list[Segment]:
        fence = read_fence(self.folder)
        writers = fence.writers if fence else frozenset()
        found = self._listed()
        for writer in {*writers, *(writer for writer, _ in found)}:
            self._find_unlisted(writer, found)
        _check_complete(found, writers)
        there = [segment for segment in found.values() if segment]
        self._writers = frozenset(segment.writer for segment in there)
        return sorted(there, key=lambda segment: (segment.writer, segment.number))

    def _listed(self) -> dict[tuple[str, int], Segment | None]:
        """Return the files that the listing shows, ``None`` for one that its killed writer has left unfinished."""
        self._shown = frozenset(self.folder.names())
        matches = filter(None, map(_NAME.fullmatch, self._shown))
        names = sorted((match[1], int(match[2])) for match in matches)
        last = dict(names)
        found = {}
        for writer, number in names:
            # One that is gone by now was replaced by a compaction.
            with suppress(FileNotFoundError):
                found[writer, number] = self._read_unless_unfinished(writer, number, is_last=number == last[writer])
        return found

    def _find_unlisted(self, writer: str, found: dict[tuple[str, int], Segment | None]) -> None:
        """Add the files of a writer that the listing doesn't show yet."""
        replaced = _marks(filter(None, found.values()), with_own=False).get(writer, 0)
        numbers = {number for each, number in found if each == writer}
        number = replaced + 1
        while True:
            if number not in numbers:
                try:
                    found[writer, number] = self._read_unless_unfinished(
                        writer, number, is_last=number > max(numbers, default=0)
                    )
                except FileNotFoundError:
                    if number > max(numbers, default=0):
                        return
            number += 1

    def _read_unless_unfinished(self, writer: str, number: int, *, is_last: bool) -> Segment | None:
        try:
            return self._read(writer, number)
        except UnfinishedError:
            if self.folder.writes_whole or not is_last or self.folder.exists(segment_name(writer, number + 1)):
                raise
            return None

    def _read(self, writer: str, number: int) -> Segment:
        name = segment_name(writer, number)
        return segment_from_bytes(name, self.folder.read(name))

    def _write(self, number: int, content: bytes) -> None:
        self.folder.write(segment_name(self.writer, number), content)
        self.written = number
        self._writers |= {self.writer}


def _marks(segments: Iterable[Segment], *, with_own: bool) -> dict[str, int]:
    marks: dict[str, int] = {}
    for segment in segments:
        own = {segment.writer: segment.number} if with_own else {}
        for writer, number in (*segment.subsumes.items(), *own.items()):
            marks[writer] = max(number, marks.get(writer, 0))
    return marks


def _check_complete(found: Mapping[tuple[str, int], Segment | None], writers: Iterable[str]) -> None:
    """
    Check that no file is missing.

    :param writers: Those that are known to have at least one whole file.
    """
    there = [segment for segment in found.values() if segment]
    replaced = _marks(there, with_own=False)
    last = _marks(there, with_own=True) | {writer: 1 for writer in writers if not _has_file(writer, there, replaced)}
    for writer, number in last.items():
        for each in range(replaced.get(writer, 0) + 1, number + 1):
            if found.get((writer, each)) is None:
                raise _MissingError(f"{segment_name(writer, each)} is missing")


def _has_file(writer: str, segments: Iterable[Segment], replaced: Mapping[str, int]) -> bool:
    return writer in replaced or any(segment.writer == writer for segment in segments)
