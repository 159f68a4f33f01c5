"""Status of a generation, and the words of APIMart that mean it."""

from __future__ import annotations

from enum import StrEnum


class GenerationStatus(StrEnum):
    """Status of a generation. Any word of APIMart that isn't listed means that it is running."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def of(cls, word: str | None) -> GenerationStatus:
        """Return the status that a status word of APIMart stands for."""
        return _MEANINGS.get((word or "").lower(), cls.RUNNING)

    @property
    def is_final(self) -> bool:
        """Whether the generation has ended and its status won't change any more."""
        return self is not GenerationStatus.RUNNING


_MEANINGS = {
    **dict.fromkeys(("completed", "success", "succeeded"), GenerationStatus.COMPLETED),
    **dict.fromkeys(("failed", "failure", "cancelled", "canceled", "cancel", "expired"), GenerationStatus.FAILED),
}
