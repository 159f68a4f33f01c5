"""One try of a batch, from what earlier tries have left to the manifest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.api.waiting import Wait
from airflow_provider_apimart.batch.gallery import gallery
from airflow_provider_apimart.batch.interruption import Interruption
from airflow_provider_apimart.batch.journal import Journal
from airflow_provider_apimart.batch.ledger import Ledger, LedgerEntry, ledger_text
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.run import BatchRun, Save
from airflow_provider_apimart.batch.summary import BatchCounts, count_items, describe
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.identity import file_name_of
from airflow_provider_apimart.results.storage.destination import uri_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TryResult:
    """
    How a try of a batch has ended.

    :param entries: The ledger.
    :param parked: What runs and is left to the triggerer; empty if the try is over.
    :param is_submitted: Whether nothing is left to submit.
    :param stopped_by: Why nothing more was submitted, if that is so.
    :param manifest: What the task returns.
    """

    entries: Sequence[LedgerEntry]
    counts: BatchCounts
    parked: Sequence[Wait]
    is_submitted: bool
    stopped_by: errors.ApimartError | None
    manifest: dict[str, Any]


def run_try(
    plan: BatchPlan,
    settings: ClientSettings,
    folder: str | ObjectStoragePath,
    save: Save | None,
    interruption: Interruption | None = None,
) -> TryResult:
    """
    Do what there is to do for a batch.

    :param folder: Where its ledger and gallery lie.
    :param save: Saves an item's outputs, ``None`` where URLs are enough.
    :param interruption: Ends it from outside, ``None`` if nobody will.
    :raises ApimartDestinationError: If the ledger can't be kept.
    """
    if not plan.items:
        return _empty(save)
    journal = Journal(folder, file_name_of(plan.task))
    run, ledger = (interruption or Interruption()).run(_run(plan, settings, journal, save))
    counts = count_items(ledger.entries, saves=save is not None)
    parked = run.parked if plan.parks else []
    log.info("%s", describe(counts))
    page = None if parked else _write_results(plan, journal, ledger, counts)
    manifest = {"ledger": uri_of(journal.ledger), "gallery": page, **counts.to_json()}
    return TryResult(ledger.entries, counts, parked, run.is_done, run.stopped_by, manifest)


async def _run(
    plan: BatchPlan, settings: ClientSettings, journal: Journal, save: Save | None
) -> tuple[BatchRun, Ledger]:
    records = await asyncio.to_thread(journal.load)
    ledger = Ledger(plan.items, records, journal.note, plan.task.clear_marker, plan.started_at)
    async with AiohttpTransport(settings) as transport:
        run = BatchRun(plan, ledger, journal, transport, save)
        await run.run()
    return run, ledger


def _write_results(plan: BatchPlan, journal: Journal, ledger: Ledger, counts: BatchCounts) -> str | None:
    if ledger.left_behind:
        log.warning(
            "%d items of an earlier try aren't asked for any more; their lines stay in the ledger",
            len(ledger.left_behind),
        )
    folder = journal.ledger.parent
    journal.compact()
    Folder(folder).write(journal.ledger.name, ledger_text([*ledger.entries, *ledger.left_behind]))
    page = folder / f"{file_name_of(plan.task)}.gallery.html"
    title = f"{plan.task.dag_id} · {plan.task.task_id} · {plan.task.run_id}"
    try:
        Folder(folder).write(page.name, gallery(title, counts, ledger.entries, uri_of(folder)).encode())
    except Exception:
        # Any error: the page is for people, and what was paid is in the ledger.
        log.exception("The gallery couldn't be written at %s", page)
        return None
    log.info("The ledger lies at %s, and %s shows the results", uri_of(journal.ledger), uri_of(page))
    return uri_of(page)


def _empty(save: Save | None) -> TryResult:
    counts = count_items([], saves=save is not None)
    return TryResult([], counts, [], True, None, {"ledger": None, "gallery": None, **counts.to_json()})
