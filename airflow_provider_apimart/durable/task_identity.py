"""Identity of a task instance, and the name of its files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskIdentity:
    """
    Identity of a task instance, the same in all its tries.

    :param clear_marker: ``ti.max_tries``: constant over automatic retries, and greater after every clear by a person.
    :param item: The item within a task that submits several generations, else ``None``.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    clear_marker: int
    item: str | None = None


def task_identity(ti: Any, item: str | None = None) -> TaskIdentity:
    """
    Return the identity of a running task instance.

    :param ti: ``context["ti"]``.
    :param item: The item within a task that submits several generations.
    """
    map_index = -1 if ti.map_index is None else ti.map_index
    return TaskIdentity(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.max_tries, item)


def file_name_of(task: TaskIdentity) -> str:
    """Return the name of the files of a task instance, the same in all its tries."""
    names = [task.dag_id, task.task_id, task.run_id, *([] if task.map_index < 0 else [str(task.map_index)])]
    # The shortened names need not be unique.
    digest = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', '.'.join(names))[:180]}.{digest}"
