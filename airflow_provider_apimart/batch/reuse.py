"""Reuse of kept results by a batch, before anything is quoted, uploaded or paid; and entries for what it makes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.json_values import JsonObject
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.library.entry import LibraryEntry, Maker
from airflow_provider_apimart.library.matching import assign, same_requests, unused
from airflow_provider_apimart.library.pack import pack_place
from airflow_provider_apimart.library.task_library import TaskLibrary, result_id
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from airflow_provider_apimart.results.storage.receipts import SavedFile, saved_file_from_json

log = logging.getLogger(__name__)

# Copies mostly wait, for the disk or for the network.
_THREADS = 16

Waiting = deque[tuple[Sequence[BatchItem], Sequence[LibraryEntry]]]
Copy = Callable[[BatchItem, Generation, Sequence[KeptFile]], Sequence[SavedFile]]


@dataclass(frozen=True)
class BatchLibrary:
    """
    The library as a batch uses it.

    :param task: The identity of the task instance.
    :param copy: Copies kept files for an item into the destination, blocking. It is called in threads.
    """

    library: TaskLibrary
    task: TaskIdentity
    copy: Copy

    def enter(self, item: BatchItem, generation: Generation, files: Sequence[JsonObject]) -> None:
        """Enter an item's generation whose outputs were all saved. It blocks."""
        self.library.enter(item.request, generation, list(map(saved_file_from_json, files)), self._maker(item.id))

    def pack_entered(self) -> None:
        """Let the next run of the task read at once what was entered. It blocks."""
        self.library.pack_entered(self._pack)

    @property
    def _pack(self) -> str:
        return pack_place(self.task.dag_id, self.task.task_id, self.task.map_index)

    def _maker(self, item_id: str) -> Maker:
        task = self.task
        return Maker(task.dag_id, task.task_id, task.run_id, task.map_index, item_id)

    def _entry_id(self, entry: LedgerEntry) -> str | None:
        """Return the id under which an item's own result was entered, ``None`` if there is none."""
        if entry.generation_id or not entry.files:
            return entry.generation_id
        return result_id((file["sha256"] for file in entry.files), self._maker(entry.id))

    async def reuse(self, items: Sequence[BatchItem], ledger: Ledger, on_reused: OnReused) -> None:
        """
        Serve items by kept results as far as there are any, and note each in the ledger.

        :param items: Those that would be submitted.
        :param on_reused: Called with each item that is served and its entry.
        :raises ApimartLibraryError: If the library is required and can't be read.
        :raises ApimartDestinationError: If the destination can't be written.
        """
        loop = asyncio.get_running_loop()
        identities = await asyncio.to_thread(self.library.identities, [item.request for item in items])
        found = await asyncio.to_thread(self.library.find, frozenset(identities), pack=self._pack)
        used = set(map(self._entry_id, ledger.entries))
        same = same_requests(zip(items, identities, strict=True))

        def note(item: BatchItem, entry: LibraryEntry, files: Sequence[SavedFile]) -> None:
            ledger.note_reuse(item.id, entry.generation(), entry.cost, [file.to_json() for file in files])
            on_reused(item, entry)

        def serve(requests: Sequence[BatchItem], entries: Sequence[LibraryEntry]) -> None:
            assign(requests, unused(entries, used), take)

        def take(item: BatchItem, entry: LibraryEntry) -> bool:
            files = self.library.reuse(entry, lambda generation, kept: self.copy(item, generation, kept))
            if files is not None:
                loop.call_soon_threadsafe(note, item, entry, files)
            return files is not None

        waiting: Waiting = deque((requests, found.pop(name)) for name, requests in same.items() if found.get(name))
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="apimart-reuse")
        try:
            threads = min(_THREADS, len(waiting))
            await _all([loop.run_in_executor(pool, _serve_all, waiting, serve) for _ in range(threads)])
        finally:
            waiting.clear()
            pool.shutdown(wait=False, cancel_futures=True)


OnReused = Callable[[BatchItem, LibraryEntry], None]


def _serve_all(waiting: Waiting, serve: Callable[[Sequence[BatchItem], Sequence[LibraryEntry]], None]) -> None:
    """Serve what waits, as one of several threads, until nothing is left or another one has failed."""
    while True:
        try:
            requests, entries = waiting.popleft()
        except IndexError:
            return
        try:
            serve(requests, entries)
        except BaseException:
            waiting.clear()
            raise


async def _all(futures: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all, and raise an error of one, so that what was served is noted before."""
    for outcome in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
