"""The run of the DAG as Airflow's database has it: that answers, whatever else is dead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.postgres import Postgres


@dataclass(frozen=True)
class Task:
    """
    A task instance.

    :param tries: How many it took so far.
    """

    task_id: str
    map_index: int
    state: str | None
    tries: int

    def __str__(self) -> str:
        return f"{self.task_id}[{self.map_index}] is {self.state} at try {self.tries}"


class Run:
    """
    The one run that the scheduler makes of the DAG by itself.

    :param postgres: Airflow's database.
    """

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @property
    def has_begun(self) -> bool:
        """Whether the scheduler has made it."""
        return self._state is not None

    @property
    def has_ended(self) -> bool:
        """Whether it has succeeded or failed."""
        return self._state in ("success", "failed")

    @property
    def _state(self) -> str | None:
        states = self._postgres.rows("SELECT state FROM dag_run")
        return states[0][0] if states else None

    @property
    def tasks(self) -> Sequence[Task]:
        """All task instances."""
        rows = self._postgres.rows(
            "SELECT task_id, map_index, state, try_number FROM task_instance ORDER BY task_id, map_index"
        )
        return [Task(*row) for row in rows]

    @property
    def saved(self) -> list[dict[str, Any]]:
        """What the tasks that save say of their files."""
        rows = self._postgres.rows(
            "SELECT value FROM xcom WHERE key = 'files' AND task_id IN ('waiting.save', 'deferred.save')"
        )
        return [file for (files,) in rows for file in files]
