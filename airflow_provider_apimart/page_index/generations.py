"""Entry of a single generation in the index."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.json_values import mapping, money, plain
from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.durable.item_status import ItemStatus, status_after
from airflow_provider_apimart.durable.task_identity import file_name_of, task_identity
from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent
from airflow_provider_apimart.page_index.entry import IndexEntry, Kind, Outcome, State, spending_of
from airflow_provider_apimart.page_index.writing import IndexFile

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_apimart.durable.task_identity import TaskIdentity

log = logging.getLogger(__name__)

JsonObject = Mapping[str, Any]

_MOST_FILES = 1000


_REPORTED = (EventKind.WAITING, EventKind.COMPLETED, EventKind.DELIVERED, EventKind.FAILED)


def report_event(context: Context, file: IndexFile, event: GenerationEvent) -> None:
    """
    Write what a task knows about its generation, if the event is one that the pages show. A failure is logged.

    :param file: The file of the task's entries.
    """
    if event.kind not in _REPORTED:
        return
    try:
        generation = event.generation or generation_from_xcom({"modality": event.modality, "model": event.model})
        item = _item(generation, event.request or {}, event.files or (), event.error)
        item = {**item, "saved_cost": plain(event.saved_cost)}
        # The pages serve files of the destinations in the index: what a failed task names was perhaps never tried.
        destination = None if event.kind is EventKind.FAILED else event.destination
        entry = _entry(context, task_identity(context["ti"]), Kind.GENERATION, item, destination)
    except Exception:
        # Any error: what the pages lack must not fail a task that has paid.
        log.exception("The pages of APIMart in Airflow will lack this generation. The task continues")
        return
    file.write(entry, is_last=event.kind in (EventKind.DELIVERED, EventKind.FAILED))


def report_files(context: Context, files: Sequence[JsonObject], destination: str) -> None:
    """Write which files a task has saved for generations of other tasks. A failure is logged."""
    try:
        entry = _entry(context, task_identity(context["ti"]), Kind.FILES, None, destination, files[:_MOST_FILES])
    except Exception:
        # Any error, as above.
        log.exception("The pages of APIMart in Airflow will lack these files. The task continues")
        return
    if files:
        IndexFile().write(entry)


def _entry(
    context: Context,
    task: TaskIdentity,
    kind: Kind,
    item: JsonObject | None,
    destination: str | None,
    files: Sequence[JsonObject] = (),
) -> IndexEntry:
    ti, now = context["ti"], datetime.now(UTC)
    item = item or {}
    is_live = item.get("status") == "running" and not item.get("reason")
    outcome = Outcome(
        str(item.get("status")),
        item.get("model"),
        item.get("saved") if item.get("reused") else item.get("completed"),
        money(item.get("cost")),
        money(mapping(item.get("quote")).get("cost")),
        money(item.get("saved_cost")),
    )
    return IndexEntry(
        name=_name(task, kind, item),
        kind=kind,
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=task.run_id,
        map_index=task.map_index,
        task_try=ti.try_number,
        state=State.RUNNING if is_live else State.FINISHED,
        began=getattr(ti, "start_date", None) or now,
        destination=destination,
        cost=outcome.cost,
        quoted=outcome.quoted,
        reason=item.get("reason"),
        spending=spending_of([outcome], now) if item else (),
        item=item or None,
        files=tuple(files),
    )


def _name(task: TaskIdentity, kind: Kind, item: JsonObject) -> str:
    """Return the name of an entry: a task that is cleared makes another generation, and both have cost money."""
    parts = [file_name_of(task), *(["files"] if kind is Kind.FILES else [])]
    if generation_id := item.get("generation_id"):
        parts.append(hashlib.sha256(generation_id.encode()).hexdigest()[:8])
    return ".".join([*parts, *(["reused"] if item.get("reused") else [])])


def _item(
    generation: Generation, request: JsonObject, files: Sequence[JsonObject], error: errors.ApimartError | None
) -> JsonObject:
    said = generation.to_xcom()
    status = said["status"] if generation.status.is_final else "running"
    if generation.reused and status == "completed":
        status = ItemStatus.REUSED.value
    if error and status not in (ItemStatus.COMPLETED, ItemStatus.REUSED):
        status = _status_after(error, generation)
    names = ("generation_id", "modality", "outputs", "result", "cost", "completed", "quote", "requested", "reused")
    return {
        "id": generation.key or generation.generation_id or "generation",
        "position": 0,
        "status": status,
        "model": generation.model or request.get("model"),
        "prompt": request.get("prompt"),
        "reason": error.summary if error else None,
        **{name: said[name] for name in names},
        "submitted": said["created"],
        "saved": datetime.now(UTC).isoformat() if files else None,
        "files": [dict(file) for file in files],
        "request": shown_request(request),
    }


def _status_after(error: errors.ApimartError, generation: Generation) -> str:
    status = status_after(error, is_known=generation.generation_id is not None)
    if status is ItemStatus.REFUSED and error.outcome != "refused":
        # A batch doesn't try such an item again; of one generation it isn't true.
        return ItemStatus.NOT_SUBMITTED.value
    return status.value


def shown_request(request: JsonObject) -> JsonObject:
    """Return the parameters of a request as they may be shown: URLs without the queries that may grant access."""
    return {name: _shown(value) for name, value in plain(request).items() if name not in ("prompt", "model")}


def _shown(value: Any) -> Any:
    match value:
        case str():
            return without_query(value)
        case list():
            return [_shown(each) for each in value]
        case dict():
            return {name: _shown(each) for name, each in value.items()}
    return value
