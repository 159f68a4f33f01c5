"""Listing of a directory of any object storage, as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def listed(directory: ObjectStoragePath) -> list[Mapping[str, Any]]:
    """
    Return what a directory holds now, with the details that its storage gives.

    Storages keep listings for minutes, also of what other processes write; a kept one of thousands of files takes
    megabytes.

    :raises FileNotFoundError: If there is no such directory; other storages return nothing.
    """
    store, path = directory.fs, directory.path
    store.invalidate_cache(path)
    found: list[Mapping[str, Any]] = store.ls(path, detail=True)
    store.invalidate_cache(path)
    return found


def listed_below(directory: ObjectStoragePath, prefix: str) -> Iterable[Mapping[str, Any]]:
    """
    Return the files at any depth below a directory of S3 whose path in it begins with a prefix.

    One request lists a thousand of them, however many directories they are in.

    :raises FileNotFoundError: If there is no such bucket.
    """
    found: dict[str, Mapping[str, Any]] = directory.fs.find(directory.path, prefix=prefix, detail=True)
    return found.values()
