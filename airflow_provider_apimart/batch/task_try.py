"""One try of a batch: reads the record of earlier tries, runs the batch, and writes ledger, gallery and manifest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.api.waiting import Wait
from airflow_provider_apimart.batch.begun_requests import BegunRequests
from airflow_provider_apimart.batch.gallery import gallery
from airflow_provider_apimart.batch.interruption import Interruption
from airflow_provider_apimart.batch.journal import Journal
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry, ledger_text
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.reporting import BatchReports
from airflow_provider_apimart.batch.reuse import BatchLibrary
from airflow_provider_apimart.batch.run import BatchRun, Save
from airflow_provider_apimart.batch.summary import BatchCounts, count_items, describe, failures, left_running
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.garbage_collection import collection_paused
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.task_identity import file_name_of
from airflow_provider_apimart.page_index.entry import State
from airflow_provider_apimart.quotes.quote import total
from airflow_provider_apimart.results.storage.atomic_write import remove_unfinished
from airflow_provider_apimart.results.storage.paths import uri_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TryResult:
    """
    Result of one try of a batch.

    :param entries: The lines of the ledger that are of requested items.
    :param parked: The running generations that are left to the triggerer; empty if the try is over.
    :param is_submitted: Whether nothing is left to submit.
    :param stopped_by: The error after which nothing more was submitted, ``None`` if there was none.
    :param manifest: The return value of the task.
    :param left_behind: The lines of items of earlier tries that are no longer requested.
    """

    entries: Sequence[LedgerEntry]
    counts: BatchCounts
    parked: Sequence[Wait]
    is_submitted: bool
    stopped_by: errors.ApimartError | None
    manifest: dict[str, Any]
    left_behind: Sequence[LedgerEntry] = ()


def run_try(
    plan: BatchPlan,
    settings: ClientSettings,
    folder: str | ObjectStoragePath,
    save: Save | None,
    interruption: Interruption | None = None,
    current_settings: Callable[[], ClientSettings] | None = None,
    library: BatchLibrary | None = None,
) -> TryResult:
    """
    Run one try of a batch.

    :param folder: The directory of its record, ledger and gallery.
    :param save: Saves an item's outputs, ``None`` to save nothing.
    :param interruption: Ends the try from outside, ``None`` if nothing does.
    :param current_settings: Reads what the connection says now, in a thread, when APIMart refuses the API key.
    :param library: Serves items by kept results, and keeps those that are made.
    :raises ApimartDestinationError: If the record can't be written.
    :raises ApimartLibraryError: If the library can't be read and ``max_cost`` is set. Nothing was submitted.
    """
    if not plan.items and plan.finished is None:
        return _empty(save)
    journal = Journal(folder, file_name_of(plan.task))
    transport = AiohttpTransport(settings, current_settings)
    reports = BatchReports(plan, uri_of(journal.ledger), uri_of(journal.ledger.parent))
    try:
        run, ledger = (interruption or Interruption()).run(_run(plan, transport, journal, save, reports, library))
    except BaseException as error:
        reports.interrupted(error)
        raise
    ledger = _current(plan, journal, ledger)
    counts = count_items(ledger.entries, saves=save is not None)
    parked = run.parked if plan.parks else []
    log.info("%s", describe(counts))
    for line in [] if parked else failures(ledger.entries):
        log.warning("%s", line)
    page = None if parked else _write_results(plan, journal, ledger, saves=save is not None)
    reports.end(replace(run.now(), ledger=ledger, counts=counts), State.DEFERRED if parked else State.FINISHED)
    if library:
        library.pack_entered()
    manifest = {
        "ledger": uri_of(journal.ledger),
        "gallery": page,
        **counts.to_json(),
        "quote": run.quoted.to_json(),
    }
    return TryResult(ledger.entries, counts, parked, run.is_done, run.stopped_by, manifest, ledger.left_behind)


async def _run(
    plan: BatchPlan,
    transport: AiohttpTransport,
    journal: Journal,
    save: Save | None,
    reports: BatchReports,
    library: BatchLibrary | None,
) -> tuple[BatchRun, Ledger]:
    with collection_paused(for_good=True):
        records = await asyncio.to_thread(journal.load)
        plan = _continued(plan, records)
        ledger = Ledger(plan.items, records, journal.note, plan.task.clear_marker, plan.started_at)
    async with transport:
        run = BatchRun(plan, ledger, journal, transport, save, reports, library)
        try:
            await run.run()
        except asyncio.CancelledError:
            if text := left_running(ledger.entries):
                log.warning("%s from the ledger %s", text, uri_of(journal.ledger))
            raise
    return run, ledger


def _continued(plan: BatchPlan, records: Mapping[str, ItemRecord]) -> BatchPlan:
    """Return the plan of a try that was deferred with the requests with which it began."""
    if plan.finished is None:
        return plan
    items = BegunRequests(plan.started_at, plan.waited).items(plan.items, records)
    if changed := len(items) - sum(new is old for new, old in zip(items, plan.items, strict=False)):
        log.warning(
            "Items whose request has changed since this try began: %d. The try continues with the requests that it has "
            "sent. Templates are rendered and files are read each time that a deferred task resumes",
            changed,
        )
    return replace(plan, items=items)


def _current(plan: BatchPlan, journal: Journal, ledger: Ledger) -> Ledger:
    """Return the ledger of what all tries have noted, where a newer one has begun: this one remembers less then."""
    records = journal.records_if_superseded()
    if records is None:
        return ledger
    return Ledger(plan.items, records, journal.note, plan.task.clear_marker, plan.started_at)


def _write_ledger(journal: Journal, ledger: Ledger) -> None:
    lines = ledger_text([*ledger.entries, *ledger.left_behind])
    Folder(journal.ledger.parent).write(journal.ledger.name, lines)


def _write_results(plan: BatchPlan, journal: Journal, ledger: Ledger, *, saves: bool) -> str | None:
    if ledger.left_behind:
        log.warning(
            "Items of an earlier try that are no longer requested: %d. Their lines stay in the ledger",
            len(ledger.left_behind),
        )
    folder = journal.ledger.parent
    page = folder / f"{file_name_of(plan.task)}.gallery.html"
    for each in (journal.ledger, page):
        remove_unfinished(each)
    journal.compact()
    _write_ledger(journal, ledger)
    if (current := _current(plan, journal, ledger)) is not ledger:
        # A newer try may have written its ledger in between.
        ledger = current
        _write_ledger(journal, ledger)
    try:
        counts = count_items(ledger.entries, saves=saves)
        Folder(folder).write(page.name, gallery(plan.task, counts, ledger.entries, uri_of(folder)).encode())
    except Exception:
        # Any error: the page is for people, and the ledger holds everything that was paid.
        log.exception("The gallery could not be written to %s", page)
        return None
    log.info("Ledger: %s. Gallery: %s", uri_of(journal.ledger), uri_of(page))
    return uri_of(page)


def _empty(save: Save | None) -> TryResult:
    counts = count_items([], saves=save is not None)
    return TryResult(
        [], counts, [], True, None, {"ledger": None, "gallery": None, **counts.to_json(), "quote": total([]).to_json()}
    )
