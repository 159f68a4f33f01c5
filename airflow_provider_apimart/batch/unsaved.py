"""What a batch's ledger still owes: generations that were paid for, whose files lie nowhere yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.batch.journal import read_lines
from airflow_provider_apimart.batch.ledger import ItemStatus, LedgerEntry, newest
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

LEDGER_SUFFIX = ".jsonl"


def completed_and_unsaved(ledger: str) -> list[dict[str, Any]]:
    """
    Return the generations of a ledger that are completed and of which files are missing, in XCom form.

    Beside a generation's own keys, each has the ``id`` of its item and the ``files`` that are saved.

    :param ledger: URI of the ledger.
    :raises ApimartInvalidRequestError: If there is none or it can't be read.
    """
    return [_in_xcom_form(entry) for entry in _entries(ledger) if _is_unsaved(entry)]


def completed_or_running(ledger: str) -> list[dict[str, Any]]:
    """
    Return what :func:`completed_and_unsaved` does, and the generations that weren't seen finished.

    :raises ApimartInvalidRequestError: If there is no such ledger or it can't be read.
    """
    return [_in_xcom_form(entry) for entry in _entries(ledger) if _is_unsaved(entry) or _is_running(entry)]


def _is_unsaved(entry: LedgerEntry) -> bool:
    return entry.status is ItemStatus.COMPLETED and not entry.is_saved


def _is_running(entry: LedgerEntry) -> bool:
    return entry.status in (ItemStatus.RUNNING, ItemStatus.UNKNOWN) and entry.generation_id is not None


def _in_xcom_form(entry: LedgerEntry) -> dict[str, Any]:
    return {**entry.generation().to_xcom(), "id": entry.id, "files": list(entry.files)}


def _entries(ledger: str) -> list[LedgerEntry]:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = ObjectStoragePath(ledger)
    try:
        return list(newest(_lines(path)).values())
    except (OSError, ValueError, ImportError) as error:
        raise ApimartInvalidRequestError(f"The batch's ledger {ledger} can't be read: {error}") from error


def _lines(path: ObjectStoragePath) -> Iterator[LedgerEntry]:
    yield from read_lines(path.read_text(encoding="utf-8"))
    # What a batch that was killed had written, and not merged into its ledger yet.
    segments = path.parent / ".apimart" / path.name.removesuffix(".ledger.jsonl")
    for segment in sorted(segments.iterdir(), key=str) if segments.is_dir() else ():
        if segment.name.endswith(LEDGER_SUFFIX):
            yield from read_lines(segment.read_text(encoding="utf-8"))
