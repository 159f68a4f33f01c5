"""
Staging: files that are being written, each locked by the process that writes it.

The lock ends with the process. So a file that a killed process left can be distinguished from one that another process
is still writing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL_FOLDER = "partial"
"""Directory of files that are being written, below that of the receipts."""


class Staging:
    """
    Directory of files that are being written.

    :param folder: The directory. It is created if needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def new_file(self, key: str) -> Iterator[BinaryIO]:
        """
        Open an empty file, which is removed afterwards unless it was moved away.

        :param key: Prefix of its name.
        """
        with new_locked_file(self._folder, f"{key}.") as file:
            try:
                yield file
            finally:
                with suppress(OSError):
                    os.unlink(file.name)

    def left_behind(self) -> Iterator[Path]:
        """Iterate over the files of ended processes; each is removed afterwards unless it was moved away."""
        for path in list(self._folder.iterdir()):
            with suppress(OSError), path.open("rb") as file:
                # Its process may have moved it away and ended meanwhile.
                if _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB) and os.path.samestat(
                    path.stat(), os.fstat(file.fileno())
                ):
                    yield path
                    path.unlink()


def private_folder() -> Path:
    """
    Return this user's directory for files that are uploaded to an object store.

    :raises PermissionError: If it is another user's.
    """
    folder = Path(tempfile.gettempdir()) / f"apimart-results-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def new_locked_file(folder: Path, prefix: str, suffix: str = "") -> BinaryIO:
    """Return an empty file with a name of its own, locked by this process, so that nobody takes it for a leftover."""
    while True:
        file = (folder / f"{prefix}{secrets.token_hex(8)}{suffix}").open("xb")
        _lock(file, fcntl.LOCK_EX)
        # Before it was locked, another process may have removed it as left behind.
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def is_in_use(path: Path) -> bool:
    """Whether a process still writes a file, as far as its file system supports locks."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        return not _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return False


def _lock(file: BinaryIO, how: int) -> bool:
    # Some network file systems can't lock; without locks, no file counts as left behind.
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True
