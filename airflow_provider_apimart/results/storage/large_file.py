"""Writer of large files, past the page cache."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import BinaryIO

# What goes past the cache has to be aligned in memory and in the file, by pages at most.
_AT_ONCE = 2 * 1024 * 1024
_DIRECT = getattr(os, "O_DIRECT", 0)


class LargeFile:
    """
    Writes blocks to a file.

    Pieces of two mebibytes go past the page cache where the system and the file system can: filling pages with what
    nobody reads again soon takes longer than writing, and drives out what others read. Where they can't, they go
    through it.

    :param file: An empty file. Nobody else writes to it meanwhile.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._buffer = mmap.mmap(-1, _AT_ONCE)
        self._filled = 0
        self._direct(True)

    def write(self, block: bytes) -> None:
        """
        Write a block; up to two mebibytes wait for the next one.

        :raises OSError: If this or an earlier one can't be written.
        """
        rest = memoryview(block)
        while rest:
            part = rest[: _AT_ONCE - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            rest = rest[len(part) :]
            if self._filled == _AT_ONCE:
                self._flush()

    def finish(self) -> None:
        """
        Write what waits.

        :raises OSError: If it can't be written.
        """
        self._direct(False)
        self._flush()

    def discard(self) -> None:
        """Empty the file."""
        self._direct(False)
        self._filled = 0
        self._file.seek(0)
        self._file.truncate()

    def _flush(self) -> None:
        rest = memoryview(self._buffer)[: self._filled]
        while rest:
            rest = rest[self._written(rest) :]
        self._filled = 0

    def _written(self, part: memoryview) -> int:
        try:
            return os.write(self._file.fileno(), part)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            # Not aligned as this file system wants it, or the disk was full in the midst of a block.
            self._direct(False)
            return os.write(self._file.fileno(), part)

    def _direct(self, on: bool) -> None:
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL) & ~_DIRECT
        try:
            fcntl.fcntl(self._file, fcntl.F_SETFL, flags | (_DIRECT if on else 0))
        except OSError:
            # Not on this file system.
            on = False
        self._is_direct = on
