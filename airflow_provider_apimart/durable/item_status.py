"""Status of an item, in the words of ledgers and of the index."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_apimart import exceptions as errors


class ItemStatus(StrEnum):
    """Status of an item."""

    NOT_SUBMITTED = "not_submitted"
    """Nothing was sent, or nothing was charged for it."""
    UNKNOWN = "unknown"
    """A submit may have been charged whose generation isn't known; the next try repeats it with the same key."""
    RUNNING = "running"
    """The generation exists and wasn't seen finished; the next try resumes waiting for it."""
    COMPLETED = "completed"
    FAILED = "failed"
    """The generation failed at APIMart, which refunds it; the next try submits a new one."""
    REFUSED = "refused"
    """The request was refused, and nothing was charged."""
    REUSED = "reused"
    """A kept result of an identical request serves it; nothing was paid for it."""
    MODERATED = "moderated"
    """Moderation refused the prompt, a reference or the result."""


#: Statuses of items that have no result although a request was sent or refused.
FAILURES = frozenset({ItemStatus.FAILED, ItemStatus.REFUSED, ItemStatus.MODERATED, ItemStatus.UNKNOWN})


def status_after(error: errors.ApimartError, *, is_known: bool) -> ItemStatus:
    """
    Return the status of an item after an error.

    :param is_known: Whether the id of its generation is known.
    """
    match error:
        case errors.ApimartCostLimitError():
            return ItemStatus.NOT_SUBMITTED
        case errors.ApimartModerationError():
            return ItemStatus.MODERATED
        case errors.ApimartGenerationFailedError():
            return ItemStatus.FAILED
        case errors.ApimartGenerationNotFoundError() | errors.ApimartUnknownOutcomeError():
            return ItemStatus.UNKNOWN
    if is_known:
        return ItemStatus.RUNNING
    passes = error.stops_batch or isinstance(error, errors.ApimartTransientError)
    return ItemStatus.NOT_SUBMITTED if passes else ItemStatus.REFUSED
