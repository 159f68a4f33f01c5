"""Telling the log of a wait in a few lines."""

from __future__ import annotations

from typing import Protocol

from airflow_provider_apimart.api.generation import Generation


class InfoLog(Protocol):
    """What is used of a logger, be it the standard library's or structlog's."""

    def info(self, event: str, *args: object) -> object:
        """Log a line."""


class ProgressLog:
    """
    Writes a line whenever the status or the progress of a generation has changed since the last look.

    :param log: Where to write.
    """

    def __init__(self, log: InfoLog) -> None:
        self._log = log
        self._written: tuple[str, float | None] | None = None

    def __call__(self, generation: Generation) -> None:
        """Note what a look saw."""
        seen = (generation.status_word, generation.progress)
        if seen == self._written:
            return
        self._written = seen
        done = "" if generation.progress is None else f", {generation.progress:.0f} % done"
        self._log.info("Generation %s: %s%s", generation.generation_id, generation.status_word, done)
