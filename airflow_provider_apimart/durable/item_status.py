"""Status of an item, in the words of ledgers and of the index."""

from __future__ import annotations

from enum import StrEnum


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
    """APIMart refused the submit, and nothing was charged."""
    REUSED = "reused"
    """A kept result of an identical request serves it; nothing was paid for it."""
    MODERATED = "moderated"
    """Moderation refused the prompt, a reference or the result."""


#: Statuses of items that have no result although a request was sent or refused.
FAILURES = frozenset({ItemStatus.FAILED, ItemStatus.REFUSED, ItemStatus.MODERATED, ItemStatus.UNKNOWN})
