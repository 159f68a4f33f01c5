"""
Data that the pages derive from the index, cached until an entry changes.

Nothing that is made here of one DAG depends on the entries of another, so that each reader's part of it is all that the
reader may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from airflow_provider_apimart.plugin.batch_rows import BatchRow, batch_rows_of
from airflow_provider_apimart.plugin.generations import Shown, merged
from airflow_provider_apimart.plugin.index import Known
from airflow_provider_apimart.plugin.storage import Location, NotReadableError


class Overview:
    """
    Generations, rows and directories of all entries. Several threads may use it at once.

    :param entries: All entries by name, the newest first.
    """

    def __init__(self, entries: Mapping[str, Known]) -> None:
        self.entries = entries

    @cached_property
    def generations(self) -> Mapping[str, Shown]:
        """Each generation once, by the name of the entry of the task that has sent it."""
        return merged(self.entries)

    @cached_property
    def batch_rows(self) -> list[BatchRow]:
        """The rows of the page *Batches*, the latest first."""
        return batch_rows_of(self.entries, self.generations.values())

    def destination_of(self, uri: str) -> str | None:
        """Return the directory of a file into which some task has saved, of any DAG; ``None`` if there is none."""
        file = _location(uri)
        parents = () if file is None else (replace(file, path=parent) for parent in file.path.parents)
        return next((parent.uri for parent in parents if parent in self._destinations), None)

    @cached_property
    def _destinations(self) -> frozenset[Location]:
        named = {known.entry.destination for known in self.entries.values() if known.entry.destination}
        return frozenset(filter(None, map(_location, named)))


def _location(uri: str) -> Location | None:
    try:
        return Location.of(uri)
    except NotReadableError:
        return None
