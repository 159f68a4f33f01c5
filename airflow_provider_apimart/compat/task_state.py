"""Airflow's store for the state of a task, which outlives the task's tries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def task_state_store(context: Context) -> Any | None:
    """Return the store of the task instance that runs in this context, ``None`` below Airflow 3.3, which has none."""
    known: Mapping[str, Any] = context
    return known.get("task_state_store")
