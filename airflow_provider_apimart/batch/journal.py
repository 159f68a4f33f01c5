"""
Journal of a batch: its facts, made durable in groups.

Facts that become due together share one file. A paid POST waits for the file with its fact, and for the fence, which
shows whether a newer try of the task has begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.batch.version_1 import earlier_facts, remove_earlier_files
from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.durable.item_record import ItemRecord, fold
from airflow_provider_apimart.durable.ledger_path import LEDGER_SUFFIX
from airflow_provider_apimart.durable.record import record_errors
from airflow_provider_apimart.exceptions import ApimartDestinationError, ApimartError, ApimartSupersededError
from airflow_provider_apimart.results.storage.paths import storage_path
from airflow_provider_apimart.results.storage.receipts import FOLDER

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

T = TypeVar("T")


# Submits that become due within this time share one write.
_GATHER_SECONDS = 0.05
# What nobody waits for is written after this time.
_LAZY_SECONDS = 1.0
# Compacted when there are more files than this, and one for so many facts more: each compaction reads all of them.
_MOST_FILES = 64
_FACTS_A_FILE = 50


class Journal:
    """
    Reads and writes the facts of one batch.

    :param folder: The directory of the ledger; the facts are in a hidden directory beside it.
    :param name: The name of the batch's files, the same in every try of the task.
    :raises ApimartDestinationError: If there can be no such folder.
    """

    def __init__(self, folder: str | ObjectStoragePath, name: str) -> None:
        path = storage_path(folder)
        self.ledger = path / f"{name}{LEDGER_SUFFIX}"
        self._files = FactFiles(path / FOLDER / name)
        self._compacted_at = 0
        self._pending: list[Fact] = []
        self._noted = self._durable = 0
        self._writing: asyncio.Task[None] | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._checking: asyncio.Task[None] | None = None

    def load(self) -> dict[str, ItemRecord]:
        """
        Return the records of earlier tries, and make this try the only one that may submit.

        :raises ApimartRecordError: If a record can't be read. Nothing was submitted.
        :raises ApimartDestinationError: If the folder can't be read or written. Nothing was submitted.
        """
        try:
            facts = self._files.load()
            if facts:
                earlier: list[Fact] = []
            else:
                with record_errors(str(self.ledger)):
                    earlier = list(earlier_facts(self.ledger, self._files.folder))
            self._files.append(earlier)
            self._files.claim()
            if self._files.others_wrote():
                # A rival that was fenced only now has submitted meanwhile.
                facts = self._files.load()
            self._files.folder.remove_partial()
            return self._folded([*facts, *earlier])
        except ApimartError:
            raise
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            raise _unusable(self.ledger, error) from error

    def note(self, fact: Fact) -> None:
        """Take a fact, which is written soon."""
        self._pending.append(fact)
        self._noted += 1
        if self._lazy is None:
            self._lazy = asyncio.get_running_loop().call_later(_LAZY_SECONDS, self._start_writing)

    async def flush(self) -> None:
        """
        Return when every fact noted so far is durable.

        :raises ApimartDestinationError: If it can't be written.
        """
        noted = self._noted
        while self._durable < noted:
            await asyncio.shield(self._start_writing())

    async def before_post(self) -> None:
        """
        Return when a paid POST may follow: every fact noted so far is durable, and no newer try has begun.

        :raises ApimartSupersededError: If a newer try has begun.
        :raises ApimartError: If a fact can't be written, or the fence can't be read.
        """
        await self.flush()
        # A check that began before the fact was durable says nothing about a try that has begun since.
        if self._checking is not None and not self._checking.done():
            await asyncio.wait([self._checking])
        if self._checking is None or self._checking.done():
            self._checking = asyncio.get_running_loop().create_task(asyncio.to_thread(self._check_fence))
            self._checking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._checking)

    def compact(self) -> None:
        """
        Write all facts of the batch as one file.

        :raises ApimartError: If they can't be read or written.
        """
        self._guarded(self._files.compact)
        self._compacted_at = self._files.written
        remove_earlier_files(self._files.folder)

    def records_if_superseded(self) -> dict[str, ItemRecord] | None:
        """
        Return the records as all tries have noted them if a newer try has begun, otherwise ``None``.

        :raises ApimartError: If they can't be read.
        """
        try:
            self._check_fence()
        except ApimartSupersededError:
            return self._guarded(lambda: self._folded(self._files.load()))
        return None

    def _check_fence(self) -> None:
        self._guarded(self._files.check_fence)

    def _start_writing(self) -> asyncio.Task[None]:
        if self._lazy:
            self._lazy.cancel()
            self._lazy = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())
            # A waiting caller gets the error; without one, the next flush tries again.
            self._writing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._writing

    async def _write(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        facts, noted = self._pending, self._noted
        self._pending = []
        try:
            await asyncio.to_thread(self._guarded, lambda: self._files.append(facts))
        except BaseException:
            self._pending = facts + self._pending
            raise
        self._durable = noted
        if self._files.written - self._compacted_at > _MOST_FILES + self._noted // _FACTS_A_FILE:
            await asyncio.to_thread(self.compact)

    def _guarded(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except ApimartError:
            raise
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            raise ApimartDestinationError(
                f"The batch's record could not be written to {self._files.folder} ({root_reason(error)}). Nothing more "
                "is submitted. Fix the destination; a retry continues where this try stopped"
            ) from error

    def _folded(self, facts: Iterable[Fact]) -> dict[str, ItemRecord]:
        records = fold(facts)
        with record_errors(str(self._files.folder)):
            for record in records.values():
                record.check()
        return records


def read_records(ledger: ObjectStoragePath) -> dict[str, ItemRecord]:
    """
    Return the records of a batch's items, without writing anything.

    :param ledger: The batch's ledger.
    :raises ApimartRecordError: If a record can't be read.
    """
    files = FactFiles(ledger.parent / FOLDER / ledger.name.removesuffix(LEDGER_SUFFIX))
    with record_errors(str(ledger)):
        facts = files.load() or list(earlier_facts(ledger, files.folder))
    return fold(facts)


def _unusable(place: str | ObjectStoragePath, error: Exception) -> ApimartDestinationError:
    return ApimartDestinationError(
        f"The batch's ledger can't be kept at {place} ({root_reason(error)}). Nothing was submitted and nothing "
        "charged in this try. Fix the destination"
    )
