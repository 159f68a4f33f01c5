"""Choice of the record of a task's generation: Airflow's state store where there is one, else files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.compat.task_state import task_state_store
from airflow_provider_apimart.durable.file_record import FileRecord
from airflow_provider_apimart.durable.ledger_path import ledger_path, report_place_of_records
from airflow_provider_apimart.durable.record import Record, StateStoreRecord
from airflow_provider_apimart.durable.task_identity import task_identity

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def record_of(context: Context) -> Record:
    """
    Return the record of the task instance that runs in this context.

    :raises ApimartDestinationError: If ``[apimart] ledger_path`` can't be used. Nothing was submitted.
    """
    ti, store = context["ti"], task_state_store(context)
    if store is not None:
        return StateStoreRecord(store, ti.try_number)
    place = ledger_path()
    report_place_of_records(place)
    return FileRecord(place, task_identity(ti))
