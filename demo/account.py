"""What the run did, read from Airflow's own database after it ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """
    One task of the run.

    :param seconds: From its start to its end, waiting included.
    """

    task_id: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Account:
    """
    The newest run of a DAG.

    :param xcoms: What each task returned.
    """

    steps: tuple[Step, ...]
    xcoms: Mapping[str, Any]

    def lines(self) -> list[str]:
        """Return the account as a person reads it."""
        generation = self.xcoms.get("wait") or self.xcoms.get("generate") or {}
        cost = generation.get("cost")
        saved = self.xcoms.get("save") or []
        return [
            *(f"  {step.task_id:<10}{step.state:<10}{step.seconds:6.1f} s" for step in self.steps),
            "",
            f"  reference   {self.xcoms.get('upload')} (its URL is temporary)",
            f"  generation  {generation.get('generation_id')} ({generation.get('model')})",
            f"  cost        {'not told' if cost is None else f'${cost}'}",
            *(f"  picture     {uri.removeprefix('file://')}" for uri in saved),
        ]


def read_account(database: Path, dag_id: str) -> Account:
    """Return the account of the newest run of a DAG in an Airflow database on SQLite."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (run_id,) = connection.execute(
            "SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1", (dag_id,)
        ).fetchone()
        steps = connection.execute(
            "SELECT task_id, state, COALESCE(duration, 0) FROM task_instance WHERE dag_id = ? AND run_id = ? "
            "ORDER BY start_date",
            (dag_id, run_id),
        ).fetchall()
        xcoms = connection.execute(
            "SELECT task_id, value FROM xcom WHERE dag_id = ? AND run_id = ? AND key = 'return_value'",
            (dag_id, run_id),
        ).fetchall()
    return Account(
        steps=tuple(Step(task_id, str(state), seconds) for task_id, state, seconds in steps),
        xcoms={task_id: json.loads(value) for task_id, value in xcoms},
    )
