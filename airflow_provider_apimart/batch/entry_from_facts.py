"""Line of a ledger as it follows from the facts about its item. It can be derived again at any time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation_parsing import is_empty_result
from airflow_provider_apimart.api.json_values import JsonObject, money
from airflow_provider_apimart.api.payload import requested_outputs
from airflow_provider_apimart.batch.ledger_entry import JsonObjects, LedgerEntry
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.item_status import ItemStatus

_MODALITIES = frozenset(Modality)


def entry_of_record(item_id: str, record: ItemRecord, position: int) -> LedgerEntry:
    """Return the line of an item from its facts alone."""
    attempt = next(reversed(record.all_but(None)), None)
    reuse = max(record.reused.values(), key=lambda fact: fact.order, default=None)
    if reuse and (attempt is None or attempt.first_sent <= reuse.at):
        said = reuse.details
        return entry_of_attempt(item_id, position, said["modality"], said["request"], record, None, said["fingerprint"])
    if attempt is None:
        return entry_of_attempt(item_id, position, None, {}, record, None, None)
    return entry_of_attempt(item_id, position, attempt.modality, attempt.request, record, attempt, attempt.fingerprint)


def entry_of_attempt(
    item_id: str,
    position: int,
    modality: str | None,
    payload: JsonObject,
    record: ItemRecord,
    attempt: Attempt | None,
    fingerprint: str | None,
) -> LedgerEntry:
    """
    Return the line of an item about one input.

    :param modality: The modality of the input's request, if known.
    :param payload: The input's request, as far as known.
    :param attempt: The latest attempt at the input, ``None`` if there is none.
    :param fingerprint: The fingerprint of the input, if known.
    """
    if (reuse := record.reuse(fingerprint or "")) is not None:
        return _reused_entry(item_id, position, record, reuse)
    trouble = _current_trouble(record.troubles.get(fingerprint or ""), attempt)
    status = _status(attempt, trouble)
    generation = (attempt.generation if attempt else None) or {}
    completed = status is ItemStatus.COMPLETED
    return LedgerEntry(
        item_id,
        position,
        status,
        generation_id=generation.get("generation_id"),
        modality=modality,
        model=payload.get("model"),
        prompt=payload.get("prompt"),
        reason=_reason(status, attempt, trouble),
        requested=_requested(modality, payload),
        outputs=tuple(generation.get("outputs") or ()) if completed else (),
        result=generation.get("result") if completed else None,
        files=tuple(attempt.files) if attempt else (),
        cost=money(generation.get("cost")) if completed else None,
        # To the millisecond, since the wait for it counts from then.
        submitted=_iso(attempt.first_sent, "milliseconds") if attempt else None,
        completed=_completed_at(attempt, generation) if completed else None,
        saved=_iso(attempt.saved.at, "seconds") if attempt and attempt.saved else None,
        clear_marker=trouble.details["clear_marker"] if trouble else None,
        tried_at=trouble.details["tried_at"] if trouble else None,
        quote=attempt.quote if attempt else None,
        request=_rest_of(payload),
        earlier=_earlier(record, attempt),
        submission=_submission(attempt),
    )


def _reused_entry(item_id: str, position: int, record: ItemRecord, reuse: Fact) -> LedgerEntry:
    said, generation = reuse.details, reuse.details["generation"]
    return LedgerEntry(
        item_id,
        position,
        ItemStatus.REUSED,
        generation_id=generation.get("generation_id"),
        modality=said["modality"],
        model=said["request"].get("model"),
        prompt=said["request"].get("prompt"),
        requested=_requested(said["modality"], said["request"]),
        result=generation.get("result"),
        files=tuple(said["files"]),
        cost=Decimal(0),
        completed=generation.get("completed"),
        saved=_iso(reuse.at, "seconds"),
        request=_rest_of(said["request"]),
        reused=generation.get("reused"),
        saved_cost=money(said["saved_cost"]),
        earlier=_earlier(record, None),
        # Should the facts be lost, the fact can be made again from this line.
        submission={"state": "reused", "fingerprint": said["fingerprint"], "recorded_at": reuse.at},
    )


def _requested(modality: str | None, payload: JsonObject) -> int | None:
    return requested_outputs(Modality(modality), payload) if modality in _MODALITIES else None


def _rest_of(payload: JsonObject) -> JsonObject | None:
    return {name: value for name, value in payload.items() if name not in ("prompt", "model")} or None


def _current_trouble(trouble: Fact | None, attempt: Attempt | None) -> Fact | None:
    """Return the fact about a failure unless a request was sent after it."""
    if trouble is None or (attempt and any(at > trouble.at for at in attempt.sends.values())):
        return None
    return trouble


def _status(attempt: Attempt | None, trouble: Fact | None) -> ItemStatus:
    if attempt is not None:
        if attempt.is_completed:
            return ItemStatus.COMPLETED
        if attempt.has_failed:
            end = end_of(attempt)
            return ItemStatus.MODERATED if end and end.details["moderated"] else ItemStatus.FAILED
        if attempt.stopped is not None or attempt.unanswered_since is not None:
            return ItemStatus.UNKNOWN
        if attempt.generation is not None:
            return ItemStatus.RUNNING
    said = trouble.details["status"] if trouble else None
    refusals = (ItemStatus.REFUSED, ItemStatus.MODERATED)
    return ItemStatus(said) if said in refusals else ItemStatus.NOT_SUBMITTED


def end_of(attempt: Attempt) -> Fact | None:
    """Return the fact about the end of a generation; one that failed at once has none for a moment."""
    return attempt.ended.get(attempt.generation_id or "")


def _reason(status: ItemStatus, attempt: Attempt | None, trouble: Fact | None) -> str | None:
    if trouble is not None and not (status is ItemStatus.COMPLETED and _is_over(trouble, attempt)):
        reason: str = trouble.details["reason"]
        return reason
    if attempt and attempt.has_failed and (end := end_of(attempt)):
        failure: str | None = end.details["reason"]
        return failure
    return None


def _is_over(trouble: Fact, attempt: Attempt | None) -> bool:
    """Whether what a completed item had trouble with is done by now."""
    end = end_of(attempt) if attempt else None
    has_ended = end is not None and end.at > trouble.at and not _is_empty(end.details["generation"])
    return has_ended or _all_is_saved(attempt)


def _all_is_saved(attempt: Attempt | None) -> bool:
    generation = (attempt.generation if attempt else None) or {}
    if attempt is None or len(attempt.files) < len(generation.get("outputs") or ()):
        return False
    return bool(attempt.files) or not _is_empty(generation)


def _is_empty(generation: JsonObject) -> bool:
    return is_empty_result(generation.get("outputs") or (), generation.get("result"))


def _completed_at(attempt: Attempt | None, generation: JsonObject) -> str | None:
    said: str | None = generation.get("completed")
    end = end_of(attempt) if attempt else None
    return said or (_iso(end.at, "seconds") if end else None)


def _earlier(record: ItemRecord, attempt: Attempt | None) -> JsonObjects:
    replaced = [fact.details["generation"] for fact in record.replaced.values()]
    others = [_replaced(each) for each in record.all_but(attempt) if each.may_be_charged]
    return (*replaced, *others)


def _replaced(attempt: Attempt) -> Mapping[str, Any]:
    generation = attempt.generation or {}
    return {
        "generation_id": attempt.generation_id,
        "status": generation.get("status") or (ItemStatus.RUNNING if generation else ItemStatus.UNKNOWN).value,
        "cost": generation.get("cost"),
        "quote": attempt.quote,
        "files": attempt.files,
    }


def _submission(attempt: Attempt | None) -> Mapping[str, Any] | None:
    """Return an attempt in the form of version 1.0.0, which can be read again should the facts be lost."""
    if attempt is None or attempt.sending is None:
        return None
    said = attempt.sending.details
    known = attempt.generation and {"generation_id": attempt.generation_id}
    state = "submitted" if known else "sending" if attempt.unanswered_since else "refused"
    return {
        "state": "stopped" if attempt.stopped is not None else state,
        "fingerprint": said["fingerprint"],
        "clear_marker": said["clear_marker"] if attempt.stopped is None else attempt.stopped,
        "attempt": said["attempt"],
        "idempotency_key": attempt.key,
        "key_scope": said["key_scope"],
        "recorded_at": attempt.first_sent,
        "generation": known,
        "uploads": said["uploads"],
    }


def _iso(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision)
