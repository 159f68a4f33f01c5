"""
Files of a library in any object storage.

``entries/<two digits>/`` has a file for each generation, whose name begins with the identity of its request. Files are
written whole and never changed, and two tasks never write different content under one name.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.library.entry import LibraryEntry, entry_from_bytes, identity_and_time
from airflow_provider_apimart.library.pack import Copied, pack_from_bytes, pack_to_bytes
from airflow_provider_apimart.results.storage.atomic_write import write_whole
from airflow_provider_apimart.results.storage.kept_file import content_tag
from airflow_provider_apimart.results.storage.listing import listed, listed_below
from airflow_provider_apimart.results.storage.paths import LOCAL_PROTOCOLS, S3_PROTOCOLS, storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

#: Directory of the library with a file for each entry.
ENTRIES = "entries"

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 16
# Reading fewer entries one by one is cheap.
_PACKED_FROM = 50
# Of 256 folders: to list so many, S3 takes fewer requests for all of them together. Fewer may be a small part of much.
_LISTED_TOGETHER_FROM = 192
_README = "README.txt"
_ABOUT = (
    b"Library of results of airflow-provider-apimart: what was generated and saved, and where its files are.\n"
    b"Once a file here is removed, its request is paid for again.\n"
)


class Library:
    """
    A library. Several threads, tasks and machines may use one at once.

    All methods raise whatever its storage raises.

    :param place: Directory or URI.
    """

    def __init__(self, place: str | ObjectStoragePath) -> None:
        self.root = storage_path(place)

    @property
    def keeps_packs(self) -> bool:
        """Whether tasks have packs of entries in it. A disk is read as fast without."""
        return self.root.protocol not in LOCAL_PROTOCOLS

    def prepare(self) -> None:
        """Check that the library can be read, and begin it if there is none: what can't be read isn't empty."""
        if not Folder(self.root).exists(_README):
            self.write(_README, _ABOUT)

    def find(
        self, identities: Collection[str], since: datetime, pack: str | None = None
    ) -> dict[str, list[LibraryEntry]]:
        """
        Return the entries of some identities, each generation once, in the order in which they are reused.

        Damaged and foreign files, and entries of another version, are left out. Whether the files of an entry are still
        there isn't checked.

        :param since: The earliest time of completion.
        :param pack: Place of the task's pack of entries, ``None`` to read each entry's own file.
        """
        wanted = frozenset(identities)
        chosen = [each for each in self._listed({each[:2] for each in wanted}) if _is_wanted(each.name, wanted, since)]
        found: defaultdict[str, dict[str, LibraryEntry]] = defaultdict(dict)
        for name, content in self._contents(chosen, pack).items():
            entry = _entry(name, content)
            if entry is not None and entry.completed >= since:
                found[entry.identity].setdefault(entry.generation_id, entry)
        return {identity: sorted(each.values(), key=lambda entry: entry.order) for identity, each in found.items()}

    def enter(self, entry: LibraryEntry) -> None:
        """Write an entry. Its files must be saved."""
        self.write(f"{ENTRIES}/{entry.identity[:2]}/{entry.name}", entry.to_bytes())

    def add_to_pack(self, pack: str, entries: Mapping[str, bytes], since: datetime) -> None:
        """
        Copy many new entries into a task's pack. A few are read by themselves.

        :param pack: Place of the pack.
        :param entries: The contents of the entries by their names.
        :param since: The earliest time of completion that may still be reused; older copies leave the pack.
        """
        if len(entries) < _PACKED_FROM or not self.keeps_packs:
            return
        copies = {name: each for name, each in self._packed(pack).items() if _is_recent(name, since)}
        found = self._listed({name[:2] for name in entries})
        copies |= {
            each.name: Copied(each.tag, entries[each.name]) for each in found if each.tag and each.name in entries
        }
        if copies:
            self._pack(pack, copies)

    def read(self, places: Collection[str]) -> dict[str, bytes]:
        """
        Return the contents of files, without those that don't exist or belong to somebody else.

        :param places: Their names, relative to the library.
        :raises PermissionError: If all of them are denied.
        """
        contents = dict(zip(places, _in_threads(self._read_unless_denied, places), strict=True))
        denied = {place: error for place, error in contents.items() if isinstance(error, PermissionError)}
        if denied and len(denied) == len(contents):
            raise next(iter(denied.values()))
        if denied:
            log.warning(
                "Files of the library that can't be read are left out: %d, such as %s", len(denied), min(denied)
            )
        return {place: content for place, content in contents.items() if isinstance(content, bytes)}

    def _read_unless_denied(self, place: str) -> bytes | PermissionError | None:
        try:
            return self._read(place)
        except PermissionError as error:
            return error

    def write(self, place: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        write_whole(self.root / place, content)

    def _listed(self, prefixes: Collection[str]) -> Iterator[_Listed]:
        """Return the files in the folders with some names, of two digits each."""
        if len(prefixes) < _LISTED_TOGETHER_FROM or self.root.protocol not in S3_PROTOCOLS:
            return chain.from_iterable(_in_threads(self._listed_in, prefixes))
        found = _in_threads(self._listed_below, {prefix[0] for prefix in prefixes})
        return (each for each in chain.from_iterable(found) if each.folder in prefixes)

    def _listed_below(self, digit: str) -> list[_Listed]:
        """Return the files in all folders whose names begin with a digit."""
        entries = self.root / ENTRIES
        try:
            found = listed_below(entries, digit)
        except FileNotFoundError:
            return []
        names = ((str(each["name"]), content_tag(each)) for each in found)
        return [_Listed(f"{ENTRIES}{name.removeprefix(entries.path)}", tag) for name, tag in names]

    def _listed_in(self, prefix: str) -> list[_Listed]:
        folder = f"{ENTRIES}/{prefix}"
        path = self.root / folder
        try:
            if path.protocol in LOCAL_PROTOCOLS:
                return [_Listed(f"{folder}/{name}") for name in os.listdir(path.path)]
            found = listed(path)
        except FileNotFoundError:
            return []
        return [_Listed(f"{folder}/{PurePosixPath(each['name']).name}", content_tag(each)) for each in found]

    def _contents(self, chosen: Collection[_Listed], pack: str | None) -> dict[str, bytes]:
        """Return the contents of entries by their names: from the pack where it has them, else from their own files."""
        packed = self._packed(pack) if pack and self.keeps_packs else {}
        contents, missing = {}, []
        for each in chosen:
            copied = packed.get(each.name)
            if copied and copied.tag == each.tag:
                contents[each.name] = copied.content
            else:
                missing.append(each)
        read = self.read([each.place for each in missing])
        contents |= {each.name: read[each.place] for each in missing if each.place in read}
        unused = len(packed) + len(missing) - len(chosen)
        if pack and self.keeps_packs and (len(missing) >= _PACKED_FROM or unused > max(_PACKED_FROM, len(chosen))):
            tags = {each.name: each.tag for each in chosen if each.tag}
            copies = {name: Copied(tag, contents[name]) for name, tag in tags.items() if name in contents}
            # Some storages have no tags, or none that change with the content.
            if copies or packed:
                self._pack(pack, copies)
        return contents

    def _packed(self, pack: str) -> dict[str, Copied]:
        try:
            return pack_from_bytes(self._read(pack) or b"")
        except Exception as error:
            # Any error: the storage libraries raise what they like, and the entries have files of their own.
            log.info("The library's %s can't be read: %s", pack, error)
            return {}

    def _pack(self, pack: str, copies: Mapping[str, Copied]) -> None:
        try:
            self.write(pack, pack_to_bytes(copies))
        except Exception as error:
            # Any error: storage libraries raise errors of any class, and the entries are known without it.
            log.info("The library's %s can't be written: %s", pack, error)

    def _read(self, place: str) -> bytes | None:
        try:
            return bytes(self.root.fs.cat_file((self.root / place).path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            # Removed a moment ago, or no file of ours.
            return None


@dataclass(frozen=True, slots=True)
class _Listed:
    """
    A file in the listing of the entries.

    :param tag: Its store's tag of the content, ``None`` where the store has none.
    """

    place: str
    tag: str | None = None

    @property
    def folder(self) -> str:
        """The folder in which it is, relative to that of all entries."""
        return self.place.removeprefix(f"{ENTRIES}/").rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.place.rpartition("/")[2]


def _is_wanted(name: str, identities: Collection[str], since: datetime) -> bool:
    found = identity_and_time(name)
    return found is not None and found[0] in identities and _is_recent(name, since)


def _is_recent(name: str, since: datetime) -> bool:
    found = identity_and_time(name)
    return found is not None and found[1] >= since.replace(microsecond=0)


def _entry(name: str, content: bytes) -> LibraryEntry | None:
    try:
        return entry_from_bytes(name, content)
    except (ValueError, RecursionError) as error:
        log.info("The library's file %s is left out: %s", name, error)
        return None


def _in_threads(work: Callable[[T], R], given: Iterable[T]) -> list[R]:
    given = list(given)
    if len(given) < 2:
        return list(map(work, given))
    with ThreadPoolExecutor(_THREADS, "apimart-library") as pool:
        return list(pool.map(work, given))
