"""Atomic writes of small files: a reader, or a crash, never sees half of one."""

from __future__ import annotations

import os
import posixpath
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PARTIAL = ".part"
"""Ending of the name of a file that isn't whole yet; a killed process may leave one."""

LOCAL_PROTOCOLS = frozenset({"", "file", "local"})
#: Storages that show an object only when all of it has arrived.
ATOMIC_PROTOCOLS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "adl", "az", "wasb", "wasbs", "memory"})


def is_atomic(protocol: str) -> bool:
    """Whether a file that :func:`write_whole` writes there is either whole or not there."""
    return protocol in LOCAL_PROTOCOLS or protocol in ATOMIC_PROTOCOLS


def write_whole(path: ObjectStoragePath, content: bytes) -> None:
    """
    Write a file, in a directory that need not exist.

    On this machine and in object stores it appears under its name only when it is whole; see :func:`is_atomic`.

    :raises OSError: If it can't be written; other storages raise what they like.
    """
    if path.protocol in LOCAL_PROTOCOLS:
        _write_local(Path(path.path), content)
        return
    if path.protocol not in ATOMIC_PROTOCOLS:
        # Object stores have no directories; making one may mean to make a bucket there.
        path.fs.makedirs(posixpath.dirname(path.path), exist_ok=True)
    path.fs.pipe_file(path.path, content)


def _write_local(final: Path, content: bytes) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    # Each write has a name of its own: two processes may write the same file at once.
    partial = final.with_name(f".{final.name}.{secrets.token_hex(6)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
