"""
Files that were saved earlier: whether they are still there, and their copies.

A copy is checked by its SHA-256. Where a store tags the content of its files, as S3 does, an unchanged tag proves the
same, so that the store can copy the file by itself.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.results.media import extension
from airflow_provider_apimart.results.storage.destination import Destination
from airflow_provider_apimart.results.storage.listing import listed
from airflow_provider_apimart.results.storage.paths import LOCAL_PROTOCOLS, StorageUri, storage_path
from airflow_provider_apimart.results.storage.receipts import KeptFileLostError, SavedFile, key_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

_BLOCK = 1024 * 1024
_THREADS = 16
# From so many files of one folder on, listing it takes fewer requests than asking for each.
_LISTED_FROM = 20
_TAGS = ("ETag", "etag")
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True)
class KeptFile:
    """
    A file that was saved earlier.

    :param version: Its store's tag of this content, ``None`` if the store has none or it is no longer the file's tag.
    """

    file: SavedFile
    version: str | None = None


def kept_file(file: SavedFile) -> KeptFile:
    """
    Return a file that was just saved, with its store's tag.

    :raises KeptFileLostError: If it isn't there with its size.
    """
    bare = KeptFile(file)
    found = present_files([bare], tagged=True)
    if bare not in found:
        raise KeptFileLostError(f"{file.uri} is gone or has another size")
    return found[bare]


def present_files(files: Iterable[KeptFile], *, tagged: bool = False) -> dict[KeptFile, KeptFile]:
    """
    Return the files that are there with their size, each as it is now: a tag that has changed is dropped.

    Files that can't be read count as absent. A folder of many files is listed at once.

    :param tagged: Whether to take each file's tag as it is now.
    """
    folders: defaultdict[str, defaultdict[str, list[KeptFile]]] = defaultdict(lambda: defaultdict(list))
    for each in files:
        folder, _, name = each.file.uri.rpartition("/")
        folders[folder][name].append(each)
    present = {}
    for folder, names in folders.items():
        for name, details in _details(folder, list(names)):
            tag = content_tag(details)
            for kept in names[name]:
                if details.get("size") == kept.file.bytes and details.get("type") != "directory":
                    present[kept] = replace(kept, version=tag if tagged or tag == kept.version else None)
    return present


def content_tag(details: Mapping[str, Any]) -> str | None:
    """Return a store's tag of a file's content, ``None`` if it has none."""
    return next((str(details[field]) for field in _TAGS if details.get(field)), None)


def _details(folder: str, names: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return what their storage says of the files of one folder, without those that are absent."""
    try:
        path = storage_path(folder or "/")
        if path.protocol in LOCAL_PROTOCOLS or len(names) < _LISTED_FROM:
            return _asked_one_by_one(path, names)
        found = {PurePosixPath(each["name"]).name: each for each in listed(path)}
        return [(name, found[name]) for name in names if name in found]
    except _ABSENT:
        return []
    except Exception as error:
        # Any error: storage libraries raise errors of any class.
        log.warning("Files saved earlier at %s can't be read and aren't reused: %s", folder, root_reason(error))
        return []


def _asked_one_by_one(folder: ObjectStoragePath, names: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    def ask(name: str) -> Mapping[str, Any] | None:
        try:
            path = f"{folder.path.rstrip('/')}/{name}"
            # Storages keep what they have said for minutes, also of what other processes have changed.
            folder.fs.invalidate_cache(folder.path)
            found: Mapping[str, Any] = folder.fs.info(path)
        except (*_ABSENT, ValueError):
            # No file has a name with a null character, for example.
            return None
        return found

    if folder.protocol in LOCAL_PROTOCOLS or len(names) == 1:
        answers = list(map(ask, names))
    else:
        with ThreadPoolExecutor(_THREADS, "apimart-kept") as pool:
            answers = list(pool.map(ask, names))
    return [(name, answer) for name, answer in zip(names, answers, strict=True) if answer]


def check_unchanged(kept: KeptFile) -> None:
    """
    Check a file's content, by its store's tag or by reading it.

    :raises KeptFileLostError: If it isn't what was saved.
    """
    if kept.version is None:
        _read_checked(kept.file, lambda block: None)


def copy_kept(destination: Destination, kept: KeptFile, stem: str, owner: str) -> SavedFile:
    """
    Copy a file into a destination, whole or not at all, under the first of its names that is free or its own.

    :param stem: The copy's name by the template, without the extension.
    :param owner: The output that the file belongs to; a whole file of it that is there already isn't copied again.
    :raises KeptFileLostError: If the file isn't what was saved. Nothing of it is left in the destination.
    :raises OSError: If the destination can't be written; storages raise other errors too.
    """
    ending = extension(kept.file.media_type)
    if kept.version is not None and destination.shares_store(kept.file.uri):
        try:
            return destination.copy_within(kept.file, kept.version, stem, ending, owner)
        except Exception as error:
            if present_files([kept]).get(kept) == kept:
                raise
            raise KeptFileLostError(f"{kept.file.uri} was removed or changed") from error
    found = destination.find(stem, owner)
    if found is not None and found.sha256 == kept.file.sha256:
        return found
    with destination.staging.new_file(key_of(stem)) as staged:
        _read_checked(kept.file, staged.write)
        return destination.commit(staged, stem, ending, replace(kept.file, uri=""), owner)


def _read_checked(file: SavedFile, take: Any) -> None:
    """Hand over the blocks of a file. They are what was saved only if this returns."""
    digest, size = hashlib.sha256(), 0
    try:
        with _opened(file.uri) as source:
            for block in _blocks(source):
                digest.update(block)
                size += len(block)
                _written(take, block)
    except _WriteError as error:
        raise error.reason from error
    except Exception as error:
        # Any error: storage libraries raise errors of any class.
        raise KeptFileLostError(f"{file.uri} can't be read: {root_reason(error)}") from error
    if (size, digest.hexdigest()) != (file.bytes, file.sha256):
        raise KeptFileLostError(f"{file.uri} has changed since it was saved")


def _opened(uri: str) -> BinaryIO:
    location = StorageUri.of(uri)
    if location.scheme in LOCAL_PROTOCOLS and not location.bucket:
        return open(location.path, "rb")
    # Not by the path itself, which reports each file that it opens as an input of the task.
    path = storage_path(uri)
    return cast("BinaryIO", path.fs.open(path.path, "rb"))


class _WriteError(Exception):
    """An error of the receiver of the blocks. It says nothing about the file that is read."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


def _written(take: Any, block: bytes) -> None:
    try:
        take(block)
    except Exception as error:
        raise _WriteError(error) from error


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block
