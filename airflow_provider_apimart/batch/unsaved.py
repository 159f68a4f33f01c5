"""Reader of ledgers: charged generations without saved files."""

from __future__ import annotations

from typing import Any

from airflow_provider_apimart.batch.entry_from_facts import entry_of_record
from airflow_provider_apimart.batch.journal import read_records
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError, ApimartRecordError
from airflow_provider_apimart.results.storage.paths import storage_path


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
    try:
        records = read_records(storage_path(ledger))
    except (OSError, ImportError, ApimartRecordError) as error:
        raise ApimartInvalidRequestError(f"The batch's ledger {ledger} can't be read: {error}") from error
    if not records and not storage_path(ledger).exists():
        raise ApimartInvalidRequestError(f"There is no ledger at {ledger}")
    return [entry_of_record(name, record, number) for number, (name, record) in enumerate(records.items())]
