"""Leftovers: files that killed processes have neither finished nor removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.results.storage.atomic_write import LOCAL_PROTOCOLS, PARTIAL
from airflow_provider_apimart.results.storage.destination import PARTIAL_FOLDER, private_folder
from airflow_provider_apimart.results.storage.receipts import FOLDER, receipt_from_bytes
from airflow_provider_apimart.results.storage.staging import is_in_use

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


@dataclass(frozen=True)
class Leftover:
    """
    A file that nobody will finish.

    :param remove: Removes it.
    """

    bytes: int
    remove: Callable[[], None]


def leftovers_below(place: ObjectStoragePath, before: datetime) -> Iterator[Leftover]:
    """
    Go through the leftovers in a directory of ledgers or results.

    A file that a receipt names isn't among them: the next task that saves there moves it to its place.

    :param before: Files that were modified later are left out, and so are those of storages that don't tell.
    """
    for file in _files(place, before):
        if file.name.startswith(".") and file.name.endswith(PARTIAL):
            yield _leftover(place, file)
    staged = place / FOLDER / PARTIAL_FOLDER
    for file in _files(staged, before):
        if not _is_claimed(place, file.name) and not _is_in_use(staged, file.name):
            yield _leftover(staged, file)


def leftovers_of_this_machine(before: datetime) -> Iterator[Leftover]:
    """Go through what killed processes have left of files on their way to an object store."""
    for path in private_folder().iterdir():
        if path.stat().st_mtime < before.timestamp() and not is_in_use(path):
            yield Leftover(path.stat().st_size, partial(path.unlink, missing_ok=True))


@dataclass(frozen=True)
class _File:
    name: str
    bytes: int


def _files(folder: ObjectStoragePath, before: datetime) -> Iterator[_File]:
    store = folder.fs
    store.invalidate_cache(folder.path)
    listed: list[dict[str, Any]] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        listed = store.ls(folder.path, detail=True)
    for each in listed:
        modified = _modified(store, each["name"]) if each["type"] == "file" else None
        if modified is not None and modified < before:
            yield _File(PurePosixPath(each["name"]).name, int(each["size"] or 0))


def _modified(store: Any, path: str) -> datetime | None:
    with suppress(NotImplementedError, FileNotFoundError):
        found: datetime = store.modified(path)
        return found
    return None


def _is_claimed(place: ObjectStoragePath, name: str) -> bool:
    key = name.partition(".")[0]
    with suppress(FileNotFoundError):
        content = bytes(place.fs.cat_file((place / FOLDER / f"{key}.json").path))
        # A receipt that can't be read may name it.
        return receipt_from_bytes(key, content).staged in (name, None)
    return False


def _is_in_use(folder: ObjectStoragePath, name: str) -> bool:
    return folder.protocol in LOCAL_PROTOCOLS and is_in_use(Path(folder.path) / name)


def _leftover(folder: ObjectStoragePath, file: _File) -> Leftover:
    return Leftover(file.bytes, partial(_remove, folder, file.name))


def _remove(folder: ObjectStoragePath, name: str) -> None:
    with suppress(FileNotFoundError):
        folder.fs.rm_file((folder / name).path)
