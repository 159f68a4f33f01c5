"""Writer that hashes and writes a file while it arrives, in threads beside the one that receives it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import BinaryIO

from airflow_provider_apimart.results.storage.large_file import LargeFile

# For fewer bytes, handing over to another thread costs more than it saves.
_HANDED_OVER_AT_ONCE = 4 * 1024 * 1024


class _Lane:
    """
    Processes blocks in their order in another thread. Few blocks wait at any time.

    :param work: Function that is called with each block.
    :param executor: The threads.
    """

    def __init__(self, work: Callable[[bytes], object], executor: Executor) -> None:
        self._work = work
        self._executor = executor
        self._pending: Future[None] | None = None

    def hand_over(self, blocks: list[bytes]) -> None:
        """Process some blocks after the previous ones."""
        self.settle()
        self._pending = self._executor.submit(self._do, blocks)

    def _do(self, blocks: list[bytes]) -> None:
        for block in blocks:
            self._work(block)

    def settle(self) -> None:
        """Wait until all blocks are processed."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()


class HashingWriter:
    """
    Hashes and writes one file. Few blocks of it wait at any time.

    :param file: An empty file.
    :param executor: The threads that hash and write a large file; both release Python's lock.
    """

    def __init__(self, file: BinaryIO, executor: Executor) -> None:
        self._file = file
        self._executor = executor
        self._begin()

    def _begin(self) -> None:
        self._hash = hashlib.sha256()
        self._blocks: list[bytes] = []
        self._waiting = 0
        self._large: LargeFile | None = None
        self._lanes: tuple[_Lane, ...] = ()

    def take(self, block: bytes) -> None:
        """
        Take a block.

        :raises OSError: If an earlier one couldn't be written.
        """
        self._blocks.append(block)
        self._waiting += len(block)
        if self._waiting >= _HANDED_OVER_AT_ONCE:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._large is None:
            self._large = LargeFile(self._file)
            self._lanes = (_Lane(self._hash.update, self._executor), _Lane(self._large.write, self._executor))
        for lane in self._lanes:
            lane.hand_over(self._blocks)
        self._blocks, self._waiting = [], 0

    def finish(self) -> str:
        """
        Return the SHA-256 in hexadecimal when everything is written.

        :raises OSError: If it can't be written.
        """
        self._settle()
        if self._large:
            self._large.finish()
        for block in self._blocks:
            self._hash.update(block)
            self._file.write(block)
        self._blocks = []
        return self._hash.hexdigest()

    def restart(self) -> None:
        """
        Empty the file and begin again.

        :raises OSError: If it can't be written.
        """
        self._settle()
        if self._large:
            self._large.discard()
        self._begin()

    def _settle(self) -> None:
        for lane in self._lanes:
            lane.settle()
