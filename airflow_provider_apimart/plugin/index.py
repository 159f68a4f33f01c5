"""Cache of the index. A file is read again when it has changed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.api.json_values import mapping, parse, text
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.ledger_path import ledger_path
from airflow_provider_apimart.page_index.entry import IndexEntry, Kind, entry_from_json
from airflow_provider_apimart.page_index.writing import INDEX, SUFFIX
from airflow_provider_apimart.plugin.items import File, Item, files_of, item_of
from airflow_provider_apimart.plugin.storage import TIMES, signature
from airflow_provider_apimart.results.storage.listing import listed
from airflow_provider_apimart.results.storage.paths import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

# Several people who look at a running batch share one listing, and listings take at most a tenth of the time.
_FRESH_SECONDS = 2.0
_FRESH_FACTOR = 10
_SLOW_SECONDS = 30.0
_MOST_ENTRIES = 10_000
_MOST_MONTHS = 24
_MOST_FILES = 50_000
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
# That of a transfer with a thousand files is a tenth of it.
_MOST_BYTES = 8 << 20
_READ_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Known:
    """
    An entry with what the pages need of it.

    :param entry: The entry, without the generation and the files that it describes.
    :param item: The generation of an entry that describes one.
    :param path: Where its file is, with month and name.
    :param saved: The files that a transfer has saved, each with the id of its generation; ``None`` if they are too many
        to be kept.
    """

    entry: IndexEntry
    item: Item | None
    path: str
    saved: tuple[tuple[str, File], ...] | None = ()

    @property
    def at(self) -> float:
        """Unix time at which it began."""
        began = self.entry.began or self.entry.updated
        return began.timestamp() if began else 0.0

    @property
    def written(self) -> float:
        """Unix time at which it was written last."""
        return self.entry.updated.timestamp() if self.entry.updated else self.at

    @property
    def age(self) -> tuple[int, float]:
        """What is greater of later work of a task instance, also where the clocks of two workers differ."""
        return self.entry.task_try, self.written


# What its storage has said about a file, and the entry in it, if there is one.
_File = tuple[tuple[str, ...], Known | None]


class Index:
    """
    The index below ``[apimart] ledger_path``. Several threads may use it at once.

    At most 10,000 entries are kept, the newest ones of the last 24 months, and 50,000 files of transfers.

    :param place: The directory or URI; by default that of Airflow's configuration, read for each listing.
    :param clock: Monotonic time.
    """

    def __init__(self, place: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._lock = Lock()
        self._files: dict[str, _File] = {}
        self._entries: Mapping[str, Known] = {}
        self._lists_at = 0.0
        self._has_listed = False
        self._gaps: tuple[str, ...] = ()
        self._began: float | None = None

    @property
    def gaps(self) -> tuple[str, ...]:
        """What the entries lack, and so every page and sum, in sentences."""
        began = self._began
        seconds = 0.0 if began is None else self._clock() - began
        slow = f"The storage of the index hasn't answered for {seconds:.0f} s. What has changed since isn't shown"
        return (slow, *self._gaps) if seconds > _SLOW_SECONDS else self._gaps

    @property
    def root(self) -> ObjectStoragePath:
        """
        The directory that ``[apimart] ledger_path`` names.

        :raises ApimartDestinationError: If there can be no such directory.
        """
        return storage_path(self._place or ledger_path())

    def entries(self) -> Mapping[str, Known]:
        """
        Return all entries by name, the newest first.

        While somebody else lists them again, those of the last listing are returned.

        :raises Exception: What the storage raises.
        """
        if not self._lock.acquire(blocking=not self._has_listed):
            return self._entries
        try:
            began = self._clock()
            if began >= self._lists_at:
                self._began = began
                self._entries = self._read()
                self._lists_at = self._clock() + max(_FRESH_SECONDS, _FRESH_FACTOR * (self._clock() - began))
                self._has_listed = True
            return self._entries
        finally:
            self._began = None
            self._lock.release()

    def said(self, known: Known) -> Mapping[str, Any]:
        """Return the whole generation of an entry, with the fields of a ledger's line."""
        content = Folder(self.root / INDEX / PurePosixPath(known.path).parent.name).read(PurePosixPath(known.path).name)
        return mapping(mapping(parse(content)).get("item"))

    def _read(self) -> Mapping[str, Known]:
        root = self.root / INDEX
        listed = _listing(root)
        wanted = dict(islice(listed, _MOST_ENTRIES))
        changed = {path: info for path, info in wanted.items() if self._before(path)[0] != signature(info)}
        files = self._files | self._read_entries(root, changed)
        self._files = {path: files[path] for path in wanted}
        unread = sum(each is None for _, each in self._files.values())
        known = sorted(filter(None, (each for _, each in self._files.values())), key=lambda each: each.at, reverse=True)
        for each in (known := list(_with_the_latest_files(known))):
            self._files[each.path] = (self._files[each.path][0], each)
        self._gaps = tuple(_gaps(unread, known, has_more=next(listed, None) is not None))
        # A retry in another month writes a file of its own.
        latest = {each.entry.name: each for each in sorted(known, key=lambda each: each.age)}
        return {each.entry.name: latest[each.entry.name] for each in known}

    def _read_entries(self, root: ObjectStoragePath, changed: Mapping[str, Mapping[str, Any]]) -> dict[str, _File]:
        if not changed:
            return {}
        with ThreadPoolExecutor(_READ_AT_ONCE, "apimart-index") as pool:
            read = pool.map(lambda path: _read_entry(root, path, changed[path], self._before(path)), changed)
            return dict(zip(changed, read, strict=True))

    def _before(self, path: str) -> _File:
        return self._files.get(path, ((), None))


def _with_the_latest_files(known: Iterable[Known]) -> Iterator[Known]:
    """Return entries of which the older ones have lost the files of transfers, as far as there are too many."""
    room = _MOST_FILES
    for each in known:
        room -= len(each.saved or ())
        yield each if room >= 0 or not each.saved else replace(each, saved=None)


def _gaps(unread: int, known: Sequence[Known], *, has_more: bool) -> Iterator[str]:
    """
    Return what the entries lack, in sentences.

    :param unread: Number of files that can't be read.
    :param known: All entries, the newest first.
    :param has_more: Whether there are older ones.
    """
    if has_more:
        since = _day(min((each.written for each in known if each.written > 0), default=0.0))
        yield f"Only the latest {_MOST_ENTRIES:,} entries are shown and summed up, those written since {since}"
    without = next((each for each in known if each.saved is None), None)
    if without:
        yield f"Files that transfers saved until {_day(without.at)} aren't shown: only {_MOST_FILES:,} are"
    if unread:
        files, describe = ("1 file", "it describes") if unread == 1 else (f"{unread:,} files", "they describe")
        yield f"{files} of the index can't be read. What {describe} is missing in lists and sums"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _listing(root: ObjectStoragePath) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the files of the index with what their storage says about them, the latest first."""
    months = (name for name in Folder(root).names() if _MONTH.fullmatch(name))
    for month in sorted(months, reverse=True)[:_MOST_MONTHS]:
        for info in sorted(_infos(root / month), key=_changed, reverse=True):
            yield f"{month}/{PurePosixPath(str(info['name'])).name}", info


def _changed(info: Mapping[str, Any]) -> str:
    return str(next(filter(None, (info.get(name) for name in TIMES)), ""))


def _infos(folder: ObjectStoragePath) -> list[Mapping[str, Any]]:
    try:
        found = listed(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [info for info in found if info["type"] == "file" and str(info["name"]).endswith(SUFFIX)]


def _read_entry(root: ObjectStoragePath, path: str, info: Mapping[str, Any], before: _File) -> _File:
    month, _, name = path.partition("/")
    now, is_too_large = signature(info), int(info["size"] or 0) > _MOST_BYTES
    try:
        content = b"" if is_too_large else Folder(root / month).read(name)
    except Exception as error:
        # Any error: storage libraries raise errors of any class. It is read again the next time.
        log.info("The entry %s of the index can't be read: %s", path, root_reason(error))
        return (), before[1]
    entry = entry_from_json(name.removesuffix(SUFFIX), parse(content))
    if entry is None:
        log.info("%s in the index is no entry, is damaged, or is larger than %d bytes", path, _MOST_BYTES)
        return now, None
    return now, known_of(entry, path)


def known_of(entry: IndexEntry, path: str) -> Known:
    """Return what the pages need of an entry: its whole generation is read again where it is opened."""
    named = [(text(said.get("generation_id")), files_of([said])) for said in entry.files]
    saved = tuple((generation_id, file) for generation_id, files in named if generation_id for file in files)
    return Known(replace(entry, item=None, files=()), item_of(entry.item) if entry.item else None, path, saved)


def saved_elsewhere(entries: Mapping[str, Known]) -> Mapping[tuple[str, str], tuple[tuple[File, ...], str | None]]:
    """
    Return the files that other tasks have saved of generations, with the directory in which they are.

    :param entries: The entries that may be seen.
    :return: By DAG and generation: a file is shown only with generations of the DAG that has saved it.
    """
    found: dict[tuple[str, str], tuple[list[File], str | None]] = {}
    for known in entries.values():
        if known.entry.kind is Kind.FILES:
            for generation_id, file in known.saved or ():
                files, folder = found.setdefault((known.entry.dag_id, generation_id), ([], known.entry.destination))
                if folder == known.entry.destination:
                    files.append(file)
    return {of: (tuple(files), folder) for of, (files, folder) in found.items()}
