"""
Metrics of generations.

They are sent to where ``[metrics]`` of Airflow's configuration says, tagged with ``dag_id``, ``task_id``, ``modality``
and ``model``.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent

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

_OUTCOMES = {"failed": FAILED, "refused": REFUSED, "moderated": REFUSED}


class GenerationMetrics:
    """
    Counts what happens to a task's generations.

    :param dag_id: The DAG of the task.
    :param task_id: The task.
    """

    def __init__(self, dag_id: str, task_id: str) -> None:
        self._task = {"dag_id": dag_id, "task_id": task_id}

    @cached_property
    def _stats(self) -> Any:
        from airflow.providers.common.compat.sdk import Stats

        return Stats

    def __call__(self, event: GenerationEvent) -> None:
        """Count an event."""
        tags = {**self._task, "modality": str(event.modality), "model": str(event.model)}
        if not event.is_first:
            return
        match event.kind:
            case EventKind.SUBMITTED:
                self._stats.incr(SUBMITTED, tags=tags)
            case EventKind.COMPLETED if event.generation:
                self._count_completed(event.generation, tags)
            case EventKind.REUSED:
                self._stats.incr(REUSED, tags=tags)
                self._add_dollars(SAVED_DOLLARS, event.saved_cost, tags)
            case EventKind.FAILED if outcome := _outcome(event):
                self._stats.incr(_OUTCOMES[outcome], tags=tags)

    def _count_completed(self, generation: Generation, tags: dict[str, str]) -> None:
        self._stats.incr(COMPLETED, tags=tags)
        if generation.missing_outputs:
            self._stats.incr(MISSING_OUTPUTS, generation.missing_outputs, tags=tags)
        if generation.created and generation.completed and generation.created <= generation.completed:
            self._stats.timing(SECONDS, generation.completed - generation.created, tags=tags)
        self._add_dollars(DOLLARS, generation.cost, tags)

    def _add_dollars(self, name: str, dollars: Decimal | None, tags: dict[str, str]) -> None:
        if dollars is not None:
            # Counters take fractions wherever they are sent, whatever their annotation says.
            self._stats.incr(name, float(dollars), tags=tags)


def _outcome(event: GenerationEvent) -> str | None:
    """Return what an error says about the outcome of a generation, ``None`` if nothing."""
    if event.error is None:
        return None
    is_reply = event.error.status is not None
    if is_reply and event.generation is not None:
        # Another request about the generation was refused, such as a read of its status.
        return None
    # What the provider refuses by itself is no generation.
    return event.error.outcome if is_reply or event.error.outcome != "refused" else None
