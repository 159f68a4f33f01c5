"""
Files on their way, each locked by the process that writes it.

The lock goes when the process does, whatever ends it: so what a killed process left can be told from what another
one is still writing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


class Staging:
    """
    A directory of files on their way.

    :param folder: It is made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def new_file(self, key: str) -> Iterator[BinaryIO]:
        """
        Open an empty file, which is removed afterwards unless it was moved away.

        :param key: With what its name begins.
        """
        with self._locked_file(key) as file:
            try:
                yield file
            finally:
                with suppress(OSError):
                    os.unlink(file.name)

    def _locked_file(self, key: str) -> BinaryIO:
        while True:
            file = (self._folder / f"{key}.{secrets.token_hex(8)}").open("xb")
            _lock(file, fcntl.LOCK_EX)
            # Between the two, another process may have taken it for left behind.
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()

    def left_behind(self) -> Iterator[Path]:
        """Go through the files of processes that are gone; each is removed afterwards unless it was moved away."""
        for path in list(self._folder.iterdir()):
            with suppress(OSError), path.open("rb") as file:
                # Its process may have moved it away meanwhile, and ended.
                if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) and os.path.samestat(
                    path.stat(), os.fstat(file.fileno())
                ):
                    yield path
                    path.unlink()


def _lock(file: BinaryIO, how: int) -> bool:
    # Not every network's file system can lock; without locks, nothing counts as left behind.
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True
