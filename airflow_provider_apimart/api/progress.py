"""Progress of a generation in the log."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_apimart.api.generation import Generation


class InfoLog(Protocol):
    """The part of a logger that is used, of the standard library's as of structlog's."""

    def info(self, event: str, *args: object) -> object:
        """Log a line."""


class ProgressLog:
    """
    Logs a generation's status and progress whenever they have changed.

    :param log: The logger.
    """

    def __init__(self, log: InfoLog) -> None:
        self._log = log
        self._written: tuple[str, float | None] | None = None

    def __call__(self, generation: Generation) -> None:
        """Log the result of a status read, if it is new."""
        seen = (generation.status_word, generation.progress)
        if seen == self._written:
            return
        self._written = seen
        done = "" if generation.progress is None else f", {generation.progress:.0f} % done"
        self._log.info("Generation %s: %s%s", generation.generation_id, generation.status_word, done)
