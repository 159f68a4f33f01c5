"""SHA-256 of what streams by, computed beside the receiving."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor, Future

# Handing over to another thread costs more than it brings for what is smaller.
_HANDED_OVER_AT_ONCE = 1024 * 1024


class Digest:
    """
    The SHA-256 of one file.

    :param executor: Where it is computed. The hash lets other threads run meanwhile.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._hash = hashlib.sha256()
        self._blocks: list[bytes] = []
        self._size = 0
        self._pending: Future[None] | None = None

    def update(self, block: bytes) -> None:
        """Add a block. Few of them are waiting at any time."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= _HANDED_OVER_AT_ONCE:
            self._settle()
            self._pending = self._executor.submit(self._add, self._blocks)
            self._blocks, self._size = [], 0

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""
        self._settle()
        self._add(self._blocks)
        self._blocks, self._size = [], 0
        return self._hash.hexdigest()

    def _add(self, blocks: list[bytes]) -> None:
        for block in blocks:
            self._hash.update(block)

    def _settle(self) -> None:
        if self._pending:
            self._pending.result()
            self._pending = None
