"""Reuse by a task with one generation: a kept result in place of a paid one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.json_values import money, plain
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import Record, only_logged
from airflow_provider_apimart.durable.task_identity import task_identity
from airflow_provider_apimart.library.entry import Maker
from airflow_provider_apimart.library.task_library import CopyFiles, TaskLibrary
from airflow_provider_apimart.results.storage.receipts import SavedFile, saved_file_from_json


@dataclass(frozen=True)
class KeptResult:
    """
    A kept result that serves a task.

    :param files: Its files, as the task's destination has them.
    :param saved_cost: US dollars that it had cost, ``None`` if unknown.
    :param is_new: Whether this try reuses it first, not an earlier one.
    """

    generation: Generation
    files: Sequence[SavedFile]
    saved_cost: Decimal | None
    is_new: bool = True


def kept_result(
    request: PaidRequest, record: Record, clear_marker: int, library: TaskLibrary | None, copy: CopyFiles
) -> KeptResult | None:
    """
    Return the kept result that serves a task instance: the one in its record, or else one of the library.

    A task whose generation is or may be paid for isn't served, nor one that was cleared after it had delivered.

    :param clear_marker: ``ti.max_tries``.
    :param library: ``None`` if nothing more is to be reused.
    :param copy: Copies kept files into the task's destination.
    :raises ApimartLibraryError: If the library is required and can't be read.
    :raises ApimartDestinationError: If the destination or the record can't be written.
    :raises ApimartSupersededError: If a newer try of the task has begun.
    """
    known, fingerprint = record.read(), request.fingerprint
    if (fact := known.reuse(fingerprint, clear_marker)) is not None:
        return _of_fact(fact)
    if library is None or not library.reuses or not known.may_reuse(fingerprint):
        return None
    served = library.reuse_one(request, copy)
    if served is None:
        return None
    entry, files = served
    result = KeptResult(entry.generation(), files, entry.cost)
    record.note(
        FactKind.REUSED,
        fingerprint=fingerprint,
        modality=request.modality.value,
        request=request.payload,
        generation=result.generation.to_xcom(),
        saved_cost=plain(result.saved_cost),
        files=[file.to_json() for file in files],
    )
    # An older try that still lives must not pay for what this one returns.
    record.before_post()
    return result


def note_reuse_delivery(record: Record, generation_id: str | None, clear_marker: int) -> None:
    """
    Note that the task returns a reused result, so that a later clear makes a new one.

    :param clear_marker: ``ti.max_tries`` now.
    """
    with only_logged(f"The delivery of the reused generation {generation_id}"):
        for fingerprint, fact in record.read().reused.items():
            if fact.details["generation"].get("generation_id") == generation_id:
                record.note(FactKind.REUSE_DELIVERED, fingerprint=fingerprint, clear_marker=clear_marker)


def _of_fact(fact: Fact) -> KeptResult:
    said = fact.details
    files = list(map(saved_file_from_json, said["files"]))
    return KeptResult(generation_from_xcom(said["generation"]), files, money(said["saved_cost"]), is_new=False)


def enter_generation(
    library: TaskLibrary, ti: Any, record: Record, generation: Generation, files: Sequence[SavedFile]
) -> None:
    """
    Enter the generation of a task whose outputs were all saved, with the request as it was sent.

    :param ti: ``context["ti"]``.
    """
    sent = next(iter(record.read().attempts_with(generation.generation_id)), None)
    if sent is None or not sent.request or sent.modality is None:
        # Version 1.0.0 recorded no request.
        return
    task = task_identity(ti)
    maker = Maker(task.dag_id, task.task_id, task.run_id, task.map_index)
    library.enter(PaidRequest("", Modality(sent.modality), sent.request), generation, files, maker)
