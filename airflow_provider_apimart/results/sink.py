"""Where a file goes while it arrives: into its SHA-256 and onto the disk, both beside the receiving."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Executor, Future
from typing import BinaryIO

# Handing over to another thread costs more than it brings for what is smaller.
_HANDED_OVER_AT_ONCE = 1024 * 1024
_WRITTEN_BACK_AT_ONCE = 16 * 1024 * 1024


class Sink:
    """
    Hashes and writes one file. Few blocks of it wait at any time.

    :param file: An empty file.
    :param executor: Where it is hashed and written; both let other threads run meanwhile.
    """

    def __init__(self, file: BinaryIO, executor: Executor) -> None:
        self._file = file
        self._executor = executor
        self._pending: Future[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._hash = hashlib.sha256()
        self._blocks: list[bytes] = []
        self._waiting = 0
        self._written = self._on_its_way = 0

    def take(self, block: bytes) -> None:
        """
        Take a block.

        :raises OSError: If an earlier one couldn't be written.
        """
        self._blocks.append(block)
        self._waiting += len(block)
        if self._waiting >= _HANDED_OVER_AT_ONCE:
            self._settle()
            self._pending = self._executor.submit(self._put, self._blocks)
            self._blocks, self._waiting = [], 0

    def finish(self) -> str:
        """
        Return the SHA-256 in hexadecimal when everything is written.

        :raises OSError: If it can't be written.
        """
        self._settle()
        self._put(self._blocks)
        self._blocks, self._waiting = [], 0
        return self._hash.hexdigest()

    def restart(self) -> None:
        """
        Empty the file and begin again.

        :raises OSError: If it can't be written.
        """
        self._settle()
        if self._written:
            self._file.seek(0)
            self._file.truncate()
        self._begin()

    def _put(self, blocks: list[bytes]) -> None:
        for block in blocks:
            self._hash.update(block)
            self._file.write(block)
            self._written += len(block)
        if self._written - self._on_its_way >= _WRITTEN_BACK_AT_ONCE:
            self._write_back()

    def _write_back(self) -> None:
        # Lets the disk begin now with what it would otherwise be waited for at the end.
        length = self._written - self._on_its_way
        os.posix_fadvise(self._file.fileno(), self._on_its_way, length, os.POSIX_FADV_DONTNEED)
        self._on_its_way = self._written

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending:
            pending.result()
