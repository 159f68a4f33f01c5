"""Ledgers of batches, each parsed once and kept as long as its file doesn't change."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_apimart.api.json_values import mapping, parse
from airflow_provider_apimart.batch.entry_from_facts import entry_of_record
from airflow_provider_apimart.batch.journal import read_records
from airflow_provider_apimart.durable.garbage_collection import collection_paused
from airflow_provider_apimart.durable.ledger_path import LEDGER_SUFFIX
from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of
from airflow_provider_apimart.page_index.entry import IndexEntry
from airflow_provider_apimart.plugin.items import Item, Line, item_of
from airflow_provider_apimart.plugin.storage import Location, NotReadableError, signature, storage_errors

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_MOST_ITEMS = 20_000
# Longer ones are shown in part: they would fill the memory of the API server.
_MOST_LINES = 100_000
_LONGEST_LINE = 4 << 20
# The record of a running batch changes all the time.
_RECORD_SECONDS = 5.0
# A storage that has failed isn't asked again for as long, and nobody waits longer for what somebody else reads.
_FAILED_SECONDS = 10.0
_WAIT_SECONDS = 5.0
_READ_AT_ONCE = 64
_BLOCK_BYTES = 1 << 20
# Several times as fast as Python's own parser. Airflow depends on it from 3.0 on.
_LINES = msgspec.json.Decoder(Line)


class Items:
    """
    The items of a batch.

    :param items: In the order of the request.
    :param problem: Why there are none, or not all; ``None`` if all is well.
    :param is_temporary: Whether the problem may be over later.
    """

    def __init__(self, items: Iterable[Item] = (), problem: str | None = None, *, is_temporary: bool = False) -> None:
        self.all = tuple(items)
        self.problem = problem
        self.is_temporary = is_temporary

    @cached_property
    def by_key(self) -> Mapping[str, Item]:
        """The items by the digest that stands for them in addresses."""
        return {item.key: item for item in self.all}


class Ledgers:
    """
    The ledgers of batches. Several threads may use it at once.

    The last used ones are kept, with at most 20,000 items together, but always the last one.

    :param clock: Monotonic time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[tuple[str, ...], Items]] = OrderedDict()
        self._failed: dict[str, tuple[float, Items]] = {}
        # One for the batches whose names have the same hash, so that a storage that hangs holds up no other.
        self._reading = tuple(Lock() for _ in range(_READ_AT_ONCE))

    def items(self, entry: IndexEntry) -> Items:
        """Return the items of a batch; what can't be read is said in its ``problem``."""
        reading = self._reading[hash(entry.name) % _READ_AT_ONCE]
        if not reading.acquire(timeout=_WAIT_SECONDS):
            problem = f"{_ledger_of(entry)} is being read. Reload the page in a moment"
            return Items(problem=problem, is_temporary=True)
        try:
            until, failed = self._failed.get(entry.name, (0.0, None))
            return failed if failed and self._clock() < until else self._items(entry)
        except NotReadableError as error:
            return self._unreadable(entry, error)
        finally:
            reading.release()

    def said(self, entry: IndexEntry, item: Item) -> Mapping[str, Any]:
        """
        Return the whole line of an item.

        :raises NotReadableError: If it can't be read.
        """
        path = _path_of(entry)
        with storage_errors(_ledger_of(entry)):
            if item.place is None:
                record = read_records(path).get(item.id)
                return {} if record is None else entry_of_record(item.id, record, item.position).to_json()
            start, length = item.place
            line = path.fs.cat_file(path.path, start=start, end=start + length)
        said = mapping(parse(bytes(line)))
        # The ledger may have been replaced since.
        return said if said.get("id") == item.id else {}

    def _items(self, entry: IndexEntry) -> Items:
        path = _path_of(entry)
        with storage_errors(_ledger_of(entry)):
            now = self._signature(entry, path)
            kept = self._kept.get(entry.name)
            if kept is None or kept[0] != now:
                kept = (now, _from_record(path) if entry.state.is_live else _from_ledger(path))
        self._keep(entry, kept)
        return kept[1]

    def _keep(self, entry: IndexEntry, kept: tuple[tuple[str, ...], Items]) -> None:
        with self._lock:
            self._failed.pop(entry.name, None)
            self._kept[entry.name] = kept
            self._kept.move_to_end(entry.name)
            while len(self._kept) > 1 and sum(len(each.all) for _, each in self._kept.values()) > _MOST_ITEMS:
                self._kept.popitem(last=False)

    def _unreadable(self, entry: IndexEntry, error: NotReadableError) -> Items:
        found = Items(problem=str(error), is_temporary=error.is_temporary)
        if error.is_temporary:
            with self._lock:
                now = self._clock()
                self._failed = {name: each for name, each in self._failed.items() if now < each[0]}
                self._failed[entry.name] = (now + _FAILED_SECONDS, found)
        return found

    def _signature(self, entry: IndexEntry, path: ObjectStoragePath) -> tuple[str, ...]:
        if entry.state.is_live:
            return (str(path), "record", str(int(self._clock() / _RECORD_SECONDS)))
        path.fs.invalidate_cache(str(path.parent.path))
        info = path.fs.info(path.path)
        if info.get("type") != "file":
            raise NotReadableError(f"{_ledger_of(entry)} is no file")
        return (str(path), *signature(info))


def _ledger_of(entry: IndexEntry) -> str:
    """Return how messages name the ledger of a batch."""
    mapped = f", map index {entry.map_index}" if entry.map_index >= 0 else ""
    return f"The ledger of {entry.dag_id}, {entry.task_id}, {entry.run_id}{mapped}"


def _path_of(entry: IndexEntry) -> ObjectStoragePath:
    """
    Return the path of a batch's ledger.

    :raises NotReadableError: If there is none, or if it is the ledger of another task: who may see the one may not
        see the other.
    """
    if not entry.ledger:
        raise NotReadableError(f"{_ledger_of(entry)} isn't known")
    location = Location.of(entry.ledger)
    own = file_name_of(TaskIdentity(entry.dag_id, entry.run_id, entry.task_id, max(-1, entry.map_index), 0))
    if location.path.name != f"{own}{LEDGER_SUFFIX}":
        raise NotReadableError(f"{_ledger_of(entry)} has the name of another task's")
    return location.opened()


def _from_record(path: ObjectStoragePath) -> Items:
    """Return the items of a batch that runs, whose ledger isn't written yet."""
    records = read_records(path).items()
    lines = (entry_of_record(name, record, number).to_json() for number, (name, record) in enumerate(records))
    return Items(filter(None, map(item_of, lines)))


def _from_ledger(path: ObjectStoragePath) -> Items:
    found: list[Item] = []
    unreadable = start = 0
    # A file that fsspec opens takes no maximum for the length of a line.
    with (
        io.BufferedReader(path.fs.open(path.path, "rb", block_size=_BLOCK_BYTES), _BLOCK_BYTES) as file,
        collection_paused(),
    ):
        while line := file.readline(_LONGEST_LINE):
            if len(found) + unreadable >= _MOST_LINES:
                return Items(found, f"Only the first {_MOST_LINES:,} lines of the ledger are shown")
            item = read_line(line, (start, len(line)))
            start += len(line)
            if item:
                found.append(item)
            elif line.strip():
                unreadable += 1
    return Items(found, f"{unreadable:,} lines of the ledger can't be read" if unreadable else None)


def read_line(line: bytes, place: tuple[int, int]) -> Item | None:
    """
    Return the item of a line, ``None`` if it has none.

    :param place: Where in the ledger the line begins, and its length.
    """
    try:
        return item_of(_LINES.decode(line), place)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # What another JSON library has written, perhaps; this reader is slower and forgives more.
        return item_of(mapping(parse(line)), place)
