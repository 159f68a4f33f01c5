"""Save failures of a batch: whether to stop submitting."""

from __future__ import annotations

from airflow_provider_apimart.exceptions import ApimartError

_FIRST_FEW = 3


class SaveFailures:
    """
    Counts of saved and unsaved items, for the decision to stop submitting.

    While not a single item could be saved and the first few all failed in the same way, every further item would be
    paid for and fail likewise.
    """

    def __init__(self) -> None:
        self._has_saved = False
        self._begun = 0
        self._kinds: list[type[ApimartError]] = []

    @property
    def is_undecided(self) -> bool:
        """Whether the first few items are being saved, so that nothing should be submitted for a moment."""
        return not self._has_saved and self._begun - len(self._kinds) >= _FIRST_FEW

    def begin(self) -> None:
        """Count an item whose outputs are about to be saved."""
        self._begun += 1

    def saved(self) -> None:
        """Count an item that was saved."""
        self._has_saved = True

    def failed(self, error: ApimartError) -> bool:
        """Count an item that couldn't be saved, and return whether nothing more should be submitted."""
        self._kinds.append(type(error))
        return not self._has_saved and self._kinds.count(type(error)) >= _FIRST_FEW
