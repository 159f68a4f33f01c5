"""Old files of a library: entries, packs of them, and the contents of uploads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.library.entry import identity_and_time
from airflow_provider_apimart.library.library import ENTRIES
from airflow_provider_apimart.library.pack import PACKS
from airflow_provider_apimart.library.reference_content import REFERENCES
from airflow_provider_apimart.results.storage.leftovers import RemovableFile, files_before, unfinished_before

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_PACK = re.compile(r"[0-9a-f]{64}\.txt")
_REFERENCE = re.compile(r"[0-9a-f]{64}\.json")
# The files are in directories named by the first digits of their names.
_PREFIX = re.compile(r"[0-9a-f]{2}")


def old_entries(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """
    Go through the entries of a library whose generations were completed before a time. The saved files stay.

    An entry that was written later, of an older generation, isn't among them.
    """
    for file in _files(place / ENTRIES, before):
        found = identity_and_time(file.name)
        if found is not None and found[1] < before:
            yield file


def old_packs(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """Go through the packs that were written before a time: their batches haven't run since."""
    yield from (file for file in files_before(place / PACKS, before) if _PACK.fullmatch(file.name))


def old_references(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """Go through the contents of uploads that were noted before a time: their URLs have expired."""
    yield from (file for file in _files(place / REFERENCES, before) if _REFERENCE.fullmatch(file.name))


def leftovers_of_library(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    """Go through what killed processes have left of files that they were writing in a library."""
    yield from unfinished_before(place / PACKS, before)
    for kind in (ENTRIES, REFERENCES):
        for folder in _folders(place / kind):
            yield from unfinished_before(folder, before)


def _files(place: ObjectStoragePath, before: datetime) -> Iterator[RemovableFile]:
    for folder in _folders(place):
        yield from (file for file in files_before(folder, before) if file.name.startswith(folder.name))


def _folders(place: ObjectStoragePath) -> Iterator[ObjectStoragePath]:
    yield from (place / name for name in Folder(place).directories() if _PREFIX.fullmatch(name))
