"""Atomic writes of small files: a reader, or a crash, never sees half of one."""

from __future__ import annotations

import glob
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_apimart.results.storage.paths import ATOMIC_PROTOCOLS, LOCAL_PROTOCOLS
from airflow_provider_apimart.results.storage.staging import is_in_use, new_locked_file

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PARTIAL = ".part"
"""Ending of the name of a file that isn't whole yet; a killed process may leave one."""

# A small file appears in memory at once; a large one is written there in parts.
_AT_ONCE = ATOMIC_PROTOCOLS | {"memory"}


def is_atomic(protocol: str) -> bool:
    """Whether a file that :func:`write_whole` writes there is either whole or not there."""
    return protocol in LOCAL_PROTOCOLS or protocol in _AT_ONCE


def write_whole(path: ObjectStoragePath, content: bytes) -> None:
    """
    Write a file, in a directory that need not exist.

    On this machine and in object stores it appears under its name only when it is whole; see :func:`is_atomic`.

    :raises OSError: If it can't be written; other storages raise errors of any class.
    """
    if path.protocol in LOCAL_PROTOCOLS:
        _write_local(Path(path.path), content)
        return
    if path.protocol not in _AT_ONCE:
        # Object stores have no directories; making one may mean to make a bucket there.
        path.fs.makedirs(posixpath.dirname(path.path), exist_ok=True)
    path.fs.pipe_file(path.path, content)


def remove_unfinished(path: ObjectStoragePath) -> None:
    """Remove what killed processes left of a file that they were writing. Other storages keep no such files."""
    if path.protocol in LOCAL_PROTOCOLS:
        final = Path(path.path)
        _remove_unused(final.parent, glob.escape(_prefix(final)))


def remove_all_unfinished(folder: ObjectStoragePath) -> None:
    """Do as :func:`remove_unfinished` for all files of a directory, which need not exist."""
    if folder.protocol in LOCAL_PROTOCOLS:
        _remove_unused(Path(folder.path), "")


def _remove_unused(folder: Path, prefix: str) -> None:
    for partial in folder.glob(f"{prefix}*{PARTIAL}"):
        if not is_in_use(partial):
            partial.unlink(missing_ok=True)


def _prefix(final: Path) -> str:
    return f".{final.name}."


def _write_local(final: Path, content: bytes) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    # Each write has a name of its own: two processes may write the same file at once.
    with new_locked_file(final.parent, _prefix(final), PARTIAL) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, final)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
