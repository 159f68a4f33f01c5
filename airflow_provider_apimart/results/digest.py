"""SHA-256 of what streams by, computed beside the receiving."""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor, Future

# Handing over to another thread costs more than it brings for what is smaller.
_HASHED_AT_ONCE = 1024 * 1024


class Digest:
    """
    The SHA-256 of one file.

    :param executor: Where all but the beginning of it is computed. The hash lets other threads run meanwhile.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._hash = hashlib.sha256()
        self._size = 0
        self._pending: Future[None] | None = None

    def update(self, block: bytes) -> None:
        """Add a block. At most one is waiting at any time."""
        self._settle()
        self._size += len(block)
        if self._size <= _HASHED_AT_ONCE:
            self._hash.update(block)
        else:
            self._pending = self._executor.submit(self._hash.update, block)

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""
        self._settle()
        return self._hash.hexdigest()

    def _settle(self) -> None:
        if self._pending:
            self._pending.result()
            self._pending = None
