"""
Files of a library in any object storage.

``entries/<two digits>/`` has a file for each generation, whose name begins with the identity of its request. Files are
written whole and never changed, and two tasks never write different content under one name.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.ledger_path import storage_path
from airflow_provider_apimart.library.entry import Entry, entry_from_bytes, identity_and_time
from airflow_provider_apimart.results.storage.atomic_write import write_whole

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

#: Directory of the library with a file for each entry.
ENTRIES = "entries"

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 16
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

    def prepare(self) -> None:
        """Check that the library can be read, and begin it if there is none: what can't be read isn't empty."""
        if not Folder(self.root).exists(_README):
            self.write(_README, _ABOUT)

    def find(self, identities: Collection[str], since: datetime) -> dict[str, list[Entry]]:
        """
        Return the entries of some identities, each generation once, in the order in which they are reused.

        Damaged and foreign files, and entries of another version, are left out. Whether the files of an entry are still
        there isn't checked.

        :param since: The earliest time of completion.
        """
        wanted = frozenset(identities)
        places = [place for folder in _in_threads(self._names, {each[:2] for each in wanted}) for place in folder]
        chosen = {place: name for place, name in places if _is_wanted(name, wanted, since)}
        found: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
        for place, content in self.read(list(chosen)).items():
            entry = _entry(chosen[place], content)
            if entry is not None and entry.completed >= since:
                found[entry.identity].setdefault(entry.generation_id, entry)
        return {identity: sorted(each.values(), key=lambda entry: entry.order) for identity, each in found.items()}

    def enter(self, entry: Entry) -> None:
        """Write an entry. Its files must be saved."""
        self.write(f"{ENTRIES}/{entry.identity[:2]}/{entry.name}", entry.to_bytes())

    def read(self, places: Collection[str]) -> dict[str, bytes]:
        """
        Return the contents of files, without those that don't exist.

        :param places: Their names, relative to the library.
        """
        contents = _in_threads(self._read, places)
        return {place: content for place, content in zip(places, contents, strict=True) if content is not None}

    def write(self, place: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        write_whole(self.root / place, content)

    def _names(self, prefix: str) -> list[tuple[str, str]]:
        folder = f"{ENTRIES}/{prefix}"
        return [(f"{folder}/{name}", name) for name in Folder(self.root / folder).names()]

    def _read(self, place: str) -> bytes | None:
        try:
            return bytes(self.root.fs.cat_file((self.root / place).path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            # Removed a moment ago, or no file of ours.
            return None


def _is_wanted(name: str, identities: Collection[str], since: datetime) -> bool:
    found = identity_and_time(name)
    return found is not None and found[0] in identities and found[1] >= since.replace(microsecond=0)


def _entry(name: str, content: bytes) -> Entry | None:
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
