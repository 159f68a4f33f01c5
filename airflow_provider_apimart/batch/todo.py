"""What a try of a batch does with an item: submit it, resume or save its generation, or nothing."""

from __future__ import annotations

from enum import Enum, auto

from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.item_status import ItemStatus


class Todo(Enum):
    """Work of a try of the task for an item."""

    NOTHING = auto()
    SAVE = auto()
    """The generation is completed, and its files aren't saved or, where nothing is saved, lack URLs."""
    RESUME = auto()
    """It was or may have been charged: continue with it, or read again what it has made."""
    SUBMIT = auto()


def todo_of(entry: LedgerEntry, attempt: Attempt | None, clear_marker: int, started_at: float, *, saves: bool) -> Todo:
    """
    Return the work for an item.

    :param attempt: The latest attempt at its request, ``None`` if there is none.
    :param clear_marker: ``ti.max_tries`` of this try.
    :param started_at: Unix time at which this try began.
    :param saves: Whether files are to be saved.
    """
    match entry.status:
        case ItemStatus.COMPLETED if entry.is_empty:
            return Todo.NOTHING if entry.tried_at == started_at else Todo.RESUME
        case ItemStatus.COMPLETED:
            return Todo.SAVE if (not entry.is_saved if saves else entry.lacks_urls) else Todo.NOTHING
        case ItemStatus.REUSED:
            return Todo.NOTHING
        case ItemStatus.MODERATED if entry.clear_marker == clear_marker:
            return Todo.NOTHING
        case ItemStatus.NOT_SUBMITTED:
            return Todo.SUBMIT
        case _ if entry.tried_at == started_at:
            return Todo.NOTHING
        case ItemStatus.UNKNOWN if _was_decided(attempt, clear_marker):
            return Todo.SUBMIT
        case ItemStatus.RUNNING | ItemStatus.UNKNOWN:
            return Todo.RESUME
    return Todo.SUBMIT


def _was_decided(attempt: Attempt | None, clear_marker: int) -> bool:
    """Whether a person was asked about a submit of unknown outcome, and has cleared the task since."""
    return attempt is not None and attempt.stopped is not None and clear_marker > attempt.stopped
