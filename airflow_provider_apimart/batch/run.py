"""Concurrent execution of a batch's items within one try."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.inline_outputs import upload_inline_outputs
from airflow_provider_apimart.api.json_values import JsonObject
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.waiting import (
    Verdict,
    Wait,
    WaitDecision,
    check_not_empty,
    failure_error,
    finished_generation,
    read_status_with_retries,
    wait_until_final,
)
from airflow_provider_apimart.batch.budget import Admission
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.batch.journal import Journal
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.progress import BatchProgress
from airflow_provider_apimart.batch.reporting import BatchNow, BatchReports
from airflow_provider_apimart.batch.reuse import BatchLibrary
from airflow_provider_apimart.batch.save_failures import SaveFailures
from airflow_provider_apimart.batch.spending import Spending
from airflow_provider_apimart.batch.summary import count_items
from airflow_provider_apimart.batch.todo import Todo
from airflow_provider_apimart.batch.uploads import BatchUploads
from airflow_provider_apimart.checks.check import Check, CheckedRequest, check_requests
from airflow_provider_apimart.durable.idempotency_key import key_scope
from airflow_provider_apimart.durable.item_status import ItemStatus, status_after
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent, hand_over
from airflow_provider_apimart.events.metrics import GenerationMetrics
from airflow_provider_apimart.library.entry import LibraryEntry
from airflow_provider_apimart.quotes.quote import QuoteTotal

log = logging.getLogger(__name__)

Save = Callable[[BatchItem, Generation], Sequence[JsonObject]]

#: Items whose outputs are saved at the same time.
SAVED_AT_ONCE = 8
_CANCELLED_AGAIN_SECONDS = 1.0
# An item that is submitted again still has the id of its generation that failed.
_STILL_EXPECTED = (ItemStatus.RUNNING, ItemStatus.UNKNOWN)


class BatchRun:
    """
    One try of a batch.

    :param save: Saves the outputs of an item's generation, blocking, and returns the files; ``None`` where URLs are
        enough. It is called in threads.
    :param reports: Where the state of the batch is reported to while it runs.
    :param library: Serves items by kept results, and keeps those that are made; ``None`` if there is none.
    """

    def __init__(
        self,
        plan: BatchPlan,
        ledger: Ledger,
        journal: Journal,
        transport: AiohttpTransport,
        save: Save | None,
        reports: BatchReports,
        library: BatchLibrary | None = None,
    ) -> None:
        self.stopped_by: errors.ApimartError | None = None
        self._plan = plan
        self._ledger = ledger
        self._journal = journal
        self._transport = transport
        self._save = save
        self._reports = reports
        self._library = library
        self._polling_stats = PollingStats()
        records = (ledger.known(item.id) for item in plan.items)
        note_upload = library.library.note_upload if library else None
        self._uploads = BatchUploads(transport, plan.upload_policy, records, note_upload)
        self._spending = Spending(plan, ledger)
        self._metrics = GenerationMetrics(plan.task.dag_id, plan.task.task_id)
        self._admitted: set[str] = set()
        self._in_flight: set[str] = set()
        self._active: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._pool = ThreadPoolExecutor(SAVED_AT_ONCE, thread_name_prefix="apimart-save")
        self._progress = BatchProgress()
        self._save_failures = SaveFailures()

    @property
    def parked(self) -> list[Wait]:
        """What is left to the triggerer: the waits for all generations that run."""
        return [self._wait(item) for item in self._plan.items if item.id in self._in_flight]

    @property
    def quoted(self) -> QuoteTotal:
        """What the batch is quoted at."""
        return self._spending.quoted

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to submit."""
        return self.stopped_by is not None or not any(todo is Todo.SUBMIT for _, todo in self._todos())

    async def run(self) -> None:
        """
        Do what there is to do, until all has ended or only waiting is left and the triggerer waits.

        :raises ApimartInvalidRequestError: If nothing was ever sent, and nothing may be.
        :raises ApimartDestinationError: If the record can't be written.
        :raises ApimartLibraryError: If the library can't be read and ``max_cost`` is set. Nothing was submitted.
        """
        reporting = {asyncio.create_task(each) for each in (self._log_progress(), self._reports.repeat(self.now))}
        try:
            await self._reuse()
            await self._check_requests()
            await self._spending.begin(self._transport, self._to_submit())
            for item, todo in sorted(self._todos(), key=lambda each: each[1] is Todo.SUBMIT):
                if await self._may_start(item, todo):
                    self._start(item, todo)
            while self._active:
                await self._something_settles()
        finally:
            await _end(reporting | self._active)
            self._pool.shutdown(wait=False, cancel_futures=True)
            # Also when it is interrupted: what was submitted a moment ago is known by its id then.
            await self._journal.flush()

    async def _reuse(self) -> None:
        """Serve items by kept results, once a try and before anything is quoted or paid."""
        items = [item for item in self._to_submit() if self._ledger.may_reuse(item.id)]
        if self._library is None or not self._library.library.reuses or not items or self._plan.finished is not None:
            return

        def count(item: BatchItem, entry: LibraryEntry) -> None:
            self._emit(item, EventKind.REUSED, saved_cost=entry.cost)

        try:
            await self._library.reuse(items, self._ledger, count)
        except errors.ApimartLibraryError as error:
            if not any(self._ledger[item.id].is_paid for item in self._plan.items):
                raise
            # What was paid for is still waited for and saved.
            self._stop(error)
        served = [self._ledger[item.id] for item in items if self._ledger[item.id].status is ItemStatus.REUSED]
        saved = written_dollars(sum((entry.saved_cost or Decimal(0) for entry in served), Decimal(0)))
        log.info("Reused from the library: %d of %d items (%s saved)", len(served), len(items), saved)

    async def _check_requests(self) -> None:
        """Compare what is to be submitted with the descriptions of the models, all at once and before it is paid."""
        items = self._to_submit()
        was_told = self._plan.check is Check.WARN and self._plan.finished is not None
        if not items or was_told:
            return
        requests = [CheckedRequest.of(item.request, item.id) for item in items]
        try:
            await self._transport.run(check_requests(self._plan.check, self._key_scope, requests))
        except errors.ApimartInvalidRequestError as error:
            if not any(self._ledger[item.id].is_paid for item in self._plan.items):
                raise
            # What was paid for is still waited for and saved.
            self._stop(error)

    def _to_submit(self) -> list[BatchItem]:
        return [item for item, todo in self._todos() if todo is Todo.SUBMIT]

    def now(self) -> BatchNow:
        """Return the batch as it is now."""
        counts = count_items(self._ledger.entries, saves=self._save is not None, in_flight=self._in_flight)
        seconds = self._progress.seconds_left(counts, time.monotonic())
        ends_at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
        stopped_by = self.stopped_by.summary if self.stopped_by else None
        return BatchNow(self._ledger, counts, len(self._in_flight), ends_at, stopped_by)

    async def _log_progress(self) -> None:
        while True:
            await asyncio.sleep(self._progress.seconds_to_next_line(time.monotonic()))
            counts = count_items(self._ledger.entries, saves=self._save is not None, in_flight=self._in_flight)
            log.info(self._progress.line(counts, len(self._in_flight), time.monotonic()))

    def _todos(self) -> Iterator[tuple[BatchItem, Todo]]:
        for item in self._plan.items:
            todo = self._ledger.todo(item.id, saves=self._save is not None)
            if todo is not Todo.NOTHING:
                yield item, todo

    async def _may_start(self, item: BatchItem, todo: Todo) -> bool:
        """Wait until an item may be begun, and return whether it may."""
        if self._is_parked(item) and self._ledger[item.id].generation_id not in (self._plan.finished or ()):
            self._in_flight.add(item.id)
            return False
        while True:
            if todo is Todo.SUBMIT:
                await self._transport.run(self._spending.renew(item))
            match self._admission(item, todo):
                case Admission.GO:
                    return True
                case Admission.STOP:
                    return False
            if not self._active:
                if not self._in_flight:
                    # The outcome of the items whose price is reserved will not become known in this try.
                    self._stop(self._spending.limit_error())
                # Otherwise what is in flight is parked, and the triggerer waits for it.
                return False
            await self._something_settles()

    def _is_parked(self, item: BatchItem) -> bool:
        """Whether the triggerer has waited for an item."""
        return self._plan.finished is not None and self._ledger[item.id].status is ItemStatus.RUNNING

    def _admission(self, item: BatchItem, todo: Todo) -> Admission:
        if todo is Todo.SAVE:
            return Admission.GO
        if todo is Todo.SUBMIT and self.stopped_by:
            return Admission.STOP
        if todo is Todo.SUBMIT and self._save_failures.is_undecided:
            return Admission.WAIT
        if len(self._in_flight) >= self._plan.max_in_flight:
            return Admission.WAIT
        if todo is Todo.RESUME:
            return Admission.GO
        return self._admitted_by_budget(item)

    def _admitted_by_budget(self, item: BatchItem) -> Admission:
        admission = self._spending.admits(item)
        if admission is Admission.STOP:
            self._stop(self._spending.limit_error())
        return admission

    def _stop(self, error: errors.ApimartError) -> None:
        if self.stopped_by is None:
            log.warning("Nothing further is submitted: %s", error)
            self.stopped_by = error

    def _start(self, item: BatchItem, todo: Todo) -> None:
        if todo is not Todo.SAVE:
            self._in_flight.add(item.id)
        if todo is Todo.SUBMIT:
            self._spending.reserve(item)
            self._admitted.add(item.id)
        task = asyncio.get_running_loop().create_task(self._make(item, todo))
        self._active.add(task)
        task.add_done_callback(lambda _: self._settled.set())

    async def _something_settles(self) -> None:
        await self._settled.wait()
        self._settled.clear()
        done = {task for task in self._active if task.done()}
        self._active -= done
        for task in done:
            task.result()

    async def _make(self, item: BatchItem, todo: Todo) -> None:
        try:
            done = self._ledger[item.id].generation() if todo is Todo.SAVE else await self._made(item, todo)
            if done is not None:
                await self._save_outputs(item, done)
        except errors.ApimartError as error:
            self._note_trouble(item, error)

    async def _made(self, item: BatchItem, todo: Todo) -> Generation | None:
        """Return an item's finished generation after settling what it has cost, ``None`` if the triggerer waits."""
        if todo is Todo.SUBMIT:
            await self._uploads.make(item)
        was_completed = self._ledger[item.id].status is ItemStatus.COMPLETED
        generation = await self._generation_after_retries(item)
        if generation is not None:
            self._in_flight.discard(item.id)
            self._settled.set()
            if not was_completed:
                self._spending.settle(item, generation)
                self._emit(item, EventKind.COMPLETED, generation=generation)
            check_not_empty(generation)
        return generation

    async def _generation_after_retries(self, item: BatchItem) -> Generation | None:
        """Do as :meth:`_generation`, and submit an item that failed again, at most ``item_retries`` times in a try."""
        failures = 0
        while True:
            try:
                return await self._generation(item)
            except errors.ApimartGenerationFailedError as error:
                before, failures = failures, self._ledger.failures(item.id)
                if self.stopped_by or not before < failures <= self._plan.item_retries:
                    raise
                self._emit_error(item, error)
                log.info("Item %r failed (refunded) and is submitted again: %s", item.id, error)

    async def _generation(self, item: BatchItem) -> Generation | None:
        """Return an item's generation once it is finished, or ``None`` if it is left to the triggerer."""
        if self._is_parked(item):
            return await self._parked_generation(item)
        if self._ledger[item.id].status is ItemStatus.COMPLETED:
            return await self._completed_generation(item)
        generation = await self._transport.run_with_current_key(
            lambda: self._paid(item).obtain(), before_post=self._journal.before_post
        )
        if generation.status.is_final:
            self._ledger.note_end(item.id, generation)
            return generation
        wait = self._wait(item)
        if self._plan.parks and not wait.is_over(time.time()):
            return None
        decision = await self._transport.run_with_current_key(
            lambda: wait_until_final(wait, self._polling_stats, policy=self._plan.status_policy)
        )
        return self._concluded(item, decision)

    async def _parked_generation(self, item: BatchItem) -> Generation | None:
        """Do as :meth:`_generation` for an item that this try has submitted and the triggerer has waited for."""
        wait = self._wait(item)
        seen = await self._transport.run_with_current_key(
            lambda: read_status_with_retries(wait, self._polling_stats.routes, self._plan.status_policy)
        )
        decision = wait.decide(seen, time.time())
        return None if decision.verdict is Verdict.POLL_AGAIN else self._concluded(item, decision)

    async def _completed_generation(self, item: BatchItem) -> Generation:
        """Read a completed generation again whose outputs APIMart hadn't shown. Whatever is read, nothing is paid."""
        wait = self._wait(item)
        seen = await self._transport.run_with_current_key(
            lambda: read_status_with_retries(wait, self._polling_stats.routes, self._plan.status_policy)
        )
        if seen.status is GenerationStatus.COMPLETED:
            self._ledger.note_end(item.id, seen)
        return self._ledger[item.id].generation()

    def _concluded(self, item: BatchItem, decision: WaitDecision) -> Generation:
        if decision.generation and decision.generation.status.is_final:
            self._ledger.note_end(item.id, decision.generation)
        if decision.generation and decision.verdict is Verdict.COMPLETED:
            return decision.generation
        return finished_generation(decision)

    @property
    def _key_scope(self) -> str:
        """The API key and host for which an idempotency key holds that is sent now."""
        account = self._transport.settings
        return key_scope(account.base_url, account.api_key)

    def _paid(self, item: BatchItem) -> PaidOnce:
        return PaidOnce(
            task=self._plan.identity(item),
            request=item.request,
            record=self._ledger.record(item.id),
            key_scope=self._key_scope,
            on_unknown_outcome=self._plan.on_unknown_outcome,
            routes=self._polling_stats.routes,
            submit_policy=self._plan.submit_policy,
            status_policy=self._plan.status_policy,
            upload_policy=self._plan.upload_policy,
            known_uploads=self._uploads.registry,
            before_submit=lambda: self._quoted(item),
            on_submitted=lambda made: self._emit(item, EventKind.SUBMITTED, generation=made),
            on_failed=lambda failed: self._emit_error(item, failure_error(failed)),
        )

    def _quoted(self, item: BatchItem) -> Flow[JsonObject | None]:
        """
        Return an item's quote before it is submitted. Where it is submitted again, the budget is asked again.

        :raises ApimartCostLimitError: If the item may not be submitted now.
        """
        if item.id not in self._admitted:
            self._spending.release(item)
            yield from self._spending.renew(item)
            if self._admitted_by_budget(item) is not Admission.GO:
                raise errors.ApimartCostLimitError(f"Item {item.id!r} isn't submitted again: max_cost may be exceeded")
            self._spending.reserve(item)
        self._admitted.discard(item.id)
        return self._spending.quote(item).to_json()

    def _wait(self, item: BatchItem) -> Wait:
        entry = self._ledger[item.id]
        now = time.time()
        submitted = datetime.fromisoformat(entry.submitted).timestamp() if entry.submitted else now
        return Wait.begin(
            entry.generation_id,
            submitted=submitted,
            timeout=self._plan.wait_seconds,
            poll_interval=self._plan.schedule.interval,
            modality=item.request.modality,
            model=entry.model,
            # Time counts from the submit, or from the beginning of this try if that came later. A submit in
            # the future was recorded by a wrong clock.
            now=max(min(submitted, now), self._plan.started_at),
        )

    def _emit(self, item: BatchItem, kind: EventKind, **known: Any) -> None:
        """Count what has happened to an item's generation. The ledger and the log of the batch report the rest."""
        event = GenerationEvent(kind, item.request.modality, item.request.payload.get("model"), **known)
        hand_over(event, [self._metrics])

    def _emit_error(self, item: BatchItem, error: errors.ApimartError) -> None:
        entry = self._ledger[item.id]
        exists = entry.status is ItemStatus.COMPLETED or (entry.generation_id and entry.status in _STILL_EXPECTED)
        generation = entry.generation() if exists else None
        self._emit(item, EventKind.FAILED, generation=generation, error=error)

    async def _save_outputs(self, item: BatchItem, generation: Generation) -> None:
        if self._save is None or not generation.outputs:
            await self._upload_inline_outputs(item, generation)
            return
        self._save_failures.begin()
        try:
            files = await asyncio.get_running_loop().run_in_executor(self._pool, self._saved, item, generation)
        except errors.ApimartError as error:
            if self._save_failures.failed(error):
                self._stop(error)
            raise
        self._save_failures.saved()
        self._ledger.note_files(item.id, files)

    def _saved(self, item: BatchItem, generation: Generation) -> Sequence[JsonObject]:
        """Save an item's outputs in a thread, and enter them before the record says that nothing is left to do."""
        files = self._save(item, generation) if self._save else ()
        if self._library:
            self._library.enter(item, generation, files)
        return files

    async def _upload_inline_outputs(self, item: BatchItem, generation: Generation) -> None:
        """Give URLs to outputs that came inside a reply: nothing else would keep them where nothing is saved."""
        if not any(output.is_inline for output in generation.outputs):
            return
        reading = partial(
            read_status_with_retries, self._wait(item), self._polling_stats.routes, self._plan.status_policy
        )
        uploading = partial(upload_inline_outputs, generation, reading, self._plan.upload_policy)
        self._ledger.note_end(item.id, await self._transport.run_with_current_key(uploading))

    def _note_trouble(self, item: BatchItem, error: errors.ApimartError) -> None:
        self._emit_error(item, error)
        self._in_flight.discard(item.id)
        if error.stops_batch:
            self._stop(error)
        status = self._status_after(item, error)
        self._ledger.note_trouble(item.id, status, str(error))
        if status not in (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.COMPLETED):
            self._spending.release(item)

    def _status_after(self, item: BatchItem, error: errors.ApimartError) -> ItemStatus:
        entry = self._ledger[item.id]
        if entry.status in (ItemStatus.COMPLETED, ItemStatus.UNKNOWN):
            # An unknown outcome stays unknown if its repetition couldn't be sent.
            return entry.status
        return status_after(error, is_known=entry.generation_id is not None)


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    while tasks:
        for task in tasks:
            task.cancel()
        # Again, should a library have lost a cancellation that came while it raised something of its own.
        _, tasks = await asyncio.wait(tasks, timeout=_CANCELLED_AGAIN_SECONDS)
