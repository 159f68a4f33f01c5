"""Events of a generation in the log of its task."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent


class TaskLog(Protocol):
    """The part of a logger that is used, of the standard library's as of structlog's."""

    def info(self, event: str, *args: object) -> object:
        """Log a line."""

    def warning(self, event: str, *args: object) -> object:
        """Log a line that someone should read."""


class EventLog:
    """
    Logs what a task obtains, and its results.

    :param log: The logger of the task.
    """

    def __init__(self, log: TaskLog) -> None:
        self._log = log

    def __call__(self, event: GenerationEvent) -> None:
        """Log an event."""
        if event.generation is None:
            return
        match event.kind:
            case EventKind.OBTAINED:
                self._log_obtained(event.generation, event.model)
            case EventKind.COMPLETED:
                self._log_completed(event.generation)
            case EventKind.REUSED:
                self._log.info("Generation %s is reused from the library at no cost", event.generation.reused)
            case EventKind.AVAILABLE:
                for number, url in enumerate(event.generation.urls, 1):
                    self._log.info("Result %d of %d: %s", number, len(event.generation.urls), url)

    def _log_obtained(self, generation: Generation, model: str | None) -> None:
        of = f"{model}, key {generation.key}" if generation.key else model
        self._log.info("Generation %s of %s: %s", generation.generation_id, of, generation.status_word)

    def _log_completed(self, generation: Generation) -> None:
        self._log.info("Generation %s is completed%s", generation.generation_id, _run_time_and_cost(generation))
        if generation.missing_outputs:
            self._log.warning(
                "APIMart delivered fewer outputs than requested: %d of %d are missing from generation %s",
                generation.missing_outputs,
                generation.requested,
                generation.generation_id,
            )
        elif not generation.outputs and not generation.result:
            self._log.warning("Generation %s is completed but has no result", generation.generation_id)


def _run_time_and_cost(generation: Generation) -> str:
    took = ""
    if generation.created and generation.completed:
        took = f" in {(generation.completed - generation.created).total_seconds():.0f} s"
    return f"{took} for {written_dollars(generation.cost)}" if generation.cost is not None else took
