"""Where the record of a submit is kept between the tries of a task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_apimart.durable.record import SubmissionRecord, record_from_json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

RECORD_KEY = "apimart_submission"


class TaskStateStore(Protocol):
    """What is used of Airflow's ``context["task_state_store"]`` (3.3 and later)."""

    def get(self, key: str) -> Any:
        """Return the value under a key, ``None`` if there is none."""

    def set(self, key: str, value: Any) -> None:
        """Write the value under a key."""


class RecordStore:
    """
    Keeps the record of a submit across retries and deferral.

    Below Airflow 3.3 there is no store: nothing is found and nothing is kept, and the derived idempotency key alone
    protects.

    :param store: Airflow's store, ``None`` where there is none.
    """

    def __init__(self, store: TaskStateStore | None) -> None:
        self._store = store

    def load(self) -> SubmissionRecord | None:
        """
        Return the record of an earlier try.

        :raises ValueError: If what is stored can't be read.
        """
        return record_from_json(self._store.get(RECORD_KEY)) if self._store is not None else None

    def save_before_paying(self, record: SubmissionRecord) -> None:
        """Write the record; an error of the store is raised, and nothing has been paid then."""
        if self._store is not None:
            self._store.set(RECORD_KEY, record.to_json())

    def save_after_paying(self, record: SubmissionRecord) -> None:
        """Write the record; an error of the store is only logged, since a failed task would lose what was paid."""
        with _only_logged():
            self.save_before_paying(record)

    def mark_delivered(self, clear_marker: int) -> None:
        """
        Note that the task hands its generation on, so that a later clear makes a new one.

        :param clear_marker: ``ti.max_tries`` now: the task may have been cleared since the submit.
        """
        with _only_logged():
            if record := self.load():
                self.save_before_paying(record.delivered(clear_marker))


@contextmanager
def _only_logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        # Any error: the store is a remote service with a client that isn't ours, and the paid work must go on.
        log.exception(
            "Airflow's state store didn't take the record of the paid generation. The task goes on; should it be tried "
            "again, the record is as before, and the idempotency key keeps it from being charged twice"
        )


def task_state_store(context: Context) -> TaskStateStore | None:
    """Return the store of the task instance that runs in this context, ``None`` below Airflow 3.3."""
    known: Mapping[str, Any] = context
    return known.get("task_state_store")


def record_store(context: Context) -> RecordStore:
    """Return where the task instance that runs in this context keeps its record."""
    return RecordStore(task_state_store(context))
