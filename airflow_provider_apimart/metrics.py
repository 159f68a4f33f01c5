"""
Metrics of generations.

They are sent to where ``[metrics]`` of Airflow's configuration says, tagged with ``dag_id``, ``task_id``, ``modality``
and ``model``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_apimart import exceptions as errors

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow_provider_apimart.api.generation import Generation

#: A generation was submitted and accepted; a replayed or repeated submit isn't counted again.
SUBMITTED = "apimart.generation.submitted"
#: A generation was completed.
COMPLETED = "apimart.generation.completed"
#: A generation failed at APIMart (refunded).
FAILED = "apimart.generation.failed"
#: APIMart or its moderation refused a generation; nothing was charged.
REFUSED = "apimart.generation.refused"
#: Outputs that were requested, and not delivered by a completed generation.
MISSING_OUTPUTS = "apimart.generation.missing_outputs"
#: Seconds from the submit to the completion, as reported by APIMart.
SECONDS = "apimart.generation.seconds"
#: US dollars charged for completed generations.
DOLLARS = "apimart.generation.dollars"
#: A kept result was reused instead of a new generation.
REUSED = "apimart.generation.reused"
#: US dollars that reused results had cost, and that weren't charged again.
SAVED_DOLLARS = "apimart.generation.saved_dollars"

_OUTCOMES = {"failed": FAILED, "refused": REFUSED}


class GenerationMetrics:
    """
    Counts the outcomes of a task's generations of one model.

    :param modality: Modality of the generations, if known.
    :param model: Model of the generations, if known.
    :param dag_id: The DAG of the task.
    :param task_id: The task.
    """

    def __init__(self, modality: str | None, model: str | None, *, dag_id: str, task_id: str) -> None:
        from airflow.providers.common.compat.sdk import Stats

        self._stats = Stats
        self._tags = {"dag_id": dag_id, "task_id": task_id, "modality": str(modality), "model": str(model)}

    def submitted(self) -> None:
        """Count an accepted submit."""
        self._stats.incr(SUBMITTED, tags=self._tags)

    def completed(self, generation: Generation) -> None:
        """Count a completed generation, its run time, its cost, and the outputs that it lacks."""
        self._stats.incr(COMPLETED, tags=self._tags)
        if generation.missing_outputs:
            self._stats.incr(MISSING_OUTPUTS, generation.missing_outputs, tags=self._tags)
        if generation.created and generation.completed:
            self._stats.timing(SECONDS, generation.completed - generation.created, tags=self._tags)
        if generation.cost is not None:
            # Counters take fractions wherever they are sent, whatever their annotation says.
            self._stats.incr(DOLLARS, float(generation.cost), tags=self._tags)  # type: ignore[arg-type]

    def reused(self, cost: Decimal | None) -> None:
        """
        Count a reused result.

        :param cost: US dollars that it had cost, ``None`` if unknown.
        """
        self._stats.incr(REUSED, tags=self._tags)
        if cost is not None:
            self._stats.incr(SAVED_DOLLARS, float(cost), tags=self._tags)  # type: ignore[arg-type]  # as above

    def ended(self, error: errors.ApimartError) -> None:
        """Count a generation that failed or was refused; other errors say nothing about its outcome."""
        if error.outcome:
            self._stats.incr(_OUTCOMES[error.outcome], tags=self._tags)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the error that is raised inside."""
        try:
            yield
        except errors.ApimartError as error:
            self.ended(error)
            raise
