"""Writing small files whole: a reader, or a crash, never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PARTIAL = ".part"
"""How the name of a file ends that isn't whole yet; a killed process may leave one."""

_LOCAL = ("", "file", "local")


def write_whole(path: ObjectStoragePath, content: bytes) -> None:
    """
    Write a file, in a directory that need not exist, that appears under its name only when it is whole, and stays.

    :raises OSError: If it can't be written; other storages raise what they like.
    """
    if path.protocol not in _LOCAL:
        # Object stores show an object when all of it has arrived.
        path.write_bytes(content)
        return
    final = Path(path.path)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}{PARTIAL}")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(final)
