"""
What Airflow's own metrics are told of generations.

They go wherever ``[metrics]`` of Airflow's configuration sends its others, tagged with ``modality`` and ``model``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_apimart import exceptions as errors

if TYPE_CHECKING:
    from airflow_provider_apimart.api.generation import Generation

#: A generation was submitted and accepted; a replayed or repeated submit isn't counted again.
SUBMITTED = "apimart.generation.submitted"
#: A generation was handed on, completed.
COMPLETED = "apimart.generation.completed"
#: A generation failed at APIMart, which refunds it.
FAILED = "apimart.generation.failed"
#: APIMart or its moderation refused a generation; nothing was charged.
REFUSED = "apimart.generation.refused"
#: Seconds from the submit to the completion, as APIMart tells them.
SECONDS = "apimart.generation.seconds"
#: US dollars that completed generations have cost.
DOLLARS = "apimart.generation.dollars"

_OUTCOMES = {"failed": FAILED, "refused": REFUSED}


class GenerationMetrics:
    """
    Counts what becomes of generations of one model.

    :param modality: What they make, if known.
    :param model: The model, if known.
    """

    def __init__(self, modality: str | None, model: str | None) -> None:
        from airflow.providers.common.compat.sdk import Stats

        self._stats = Stats
        self._tags = {"modality": str(modality), "model": str(model)}

    def submitted(self) -> None:
        """Count an accepted submit."""
        self._stats.incr(SUBMITTED, tags=self._tags)

    def completed(self, generation: Generation) -> None:
        """Count a completed generation, how long it took, and what it has cost."""
        self._stats.incr(COMPLETED, tags=self._tags)
        if generation.created and generation.completed:
            self._stats.timing(SECONDS, generation.completed - generation.created, tags=self._tags)
        if generation.cost is not None:
            # Counters take fractions wherever they are sent, whatever their annotation says.
            self._stats.incr(DOLLARS, float(generation.cost), tags=self._tags)  # type: ignore[arg-type]

    def ended(self, error: errors.ApimartError) -> None:
        """Count a generation that failed or was refused; any other error says nothing of one."""
        if error.outcome:
            self._stats.incr(_OUTCOMES[error.outcome], tags=self._tags)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what is raised inside."""
        try:
            yield
        except errors.ApimartError as error:
            self.ended(error)
            raise
