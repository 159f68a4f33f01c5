"""Task context for tests of the transfer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from airflow.providers.common.compat.sdk import Context


@dataclass
class Task:
    """A task instance as the transfer sees it."""

    dag_id: str = "pictures"
    task_id: str = "save"
    map_index: int = -1
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is pushed."""
        self.pushed[key] = value


def context(task: Task | None = None, **values: Any) -> Context:
    """Return the context of a task."""
    return cast("Context", {"ti": task or Task(), "run_id": "manual__2026-11-22T00:00:00+00:00", **values})
