"""
Leftovers: files that killed processes have neither finished nor removed.

:func:`files_before` finds old files of any kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.json_values import moment
from airflow_provider_apimart.results.storage.atomic_write import PARTIAL
from airflow_provider_apimart.results.storage.listing import listed
from airflow_provider_apimart.results.storage.paths import LOCAL_PROTOCOLS
from airflow_provider_apimart.results.storage.receipts import FOLDER, receipt_from_bytes, receipt_name
from airflow_provider_apimart.results.storage.staging import PARTIAL_FOLDER, is_in_use, private_folder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

# Of local files, S3, Azure, Google Cloud Storage and others.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


@dataclass(frozen=True)
class RemovableFile:
    """
    A file that may be removed.

    :param remove: Removes it.
    """

    name: str
    bytes: int
    remove: Callable[[], None]


def leftovers_below(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """
    Go through the leftovers in a directory of ledgers or results.

    A file that a receipt names isn't among them: the next task that saves there moves it to its place.

    :param before: Files that were modified later are left out, and so are those of storages that don't report it.
    """
    yield from unfinished_before(place, before)
    staged = place / FOLDER / PARTIAL_FOLDER
    for file in files_before(staged, before):
        if not _is_claimed(place, file.name) and not _is_in_use(staged, file.name):
            yield file


def unfinished_before(folder: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """Go through what killed processes have left of small files that they were writing in a directory."""
    for file in files_before(folder, before):
        if file.name.startswith(".") and file.name.endswith(PARTIAL) and not _is_in_use(folder, file.name):
            yield file


def leftovers_of_this_machine(before: datetime) -> Iterator[RemovableFile]:
    """Go through what killed processes have left of files on their way to an object store."""
    for path in private_folder().iterdir():
        if path.stat().st_mtime < before.timestamp() and not is_in_use(path):
            yield RemovableFile(path.name, path.stat().st_size, partial(path.unlink, missing_ok=True))


def files_before(folder: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """
    Go through the files of a directory that were modified before a time.

    Files of storages that don't report the time are left out.
    """
    found: list[Mapping[str, Any]] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        found = listed(folder)
    for each in found:
        modified = _modified(each) if each["type"] == "file" else None
        if modified is not None and modified < before:
            name = PurePosixPath(each["name"]).name
            yield RemovableFile(name, int(each["size"] or 0), partial(_remove, folder, name))


def _modified(details: Mapping[str, Any]) -> datetime | None:
    """Return the time in a storage's listing, whose name differs between storages."""
    value = next((details[name] for name in _TIMES if details.get(name) is not None), None)
    return moment(value.isoformat() if isinstance(value, datetime) else value)


def _is_claimed(place: ObjectStoragePath, name: str) -> bool:
    key = name.partition(".")[0]
    with suppress(FileNotFoundError):
        content = bytes(place.fs.cat_file((place / receipt_name(key)).path))
        # A receipt that can't be read may name it.
        return receipt_from_bytes(key, content).staged in (name, None)
    return False


def _is_in_use(folder: ObjectStoragePath, name: str) -> bool:
    return folder.protocol in LOCAL_PROTOCOLS and is_in_use(Path(folder.path) / name)


def _remove(folder: ObjectStoragePath, name: str) -> None:
    with suppress(FileNotFoundError):
        folder.fs.rm_file((folder / name).path)
