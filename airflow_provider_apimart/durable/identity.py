"""Identity of paid work: the task instance and the request."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.reference_file import ReferenceFile
from airflow_provider_apimart.api.references import with_files_renamed


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


@dataclass(frozen=True)
class PaidRequest:
    """
    One generation that is to be paid for once.

    :param account: The connection's id. The API key is no part of it: a key that is replaced while a generation runs
        must not make a second one.
    :param payload: The whole body of the submit, in which files have names by their content: each upload has another
        URL, which must not change the identity of the work.
    :param files: The files by those names.
    """

    account: str
    modality: Modality
    payload: Mapping[str, Any]
    files: Mapping[str, ReferenceFile] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A digest of the full request: two requests with the same one are the same paid work."""
        return digest([self.account, self.modality.value, self.payload])

    def body(self, uploads: Mapping[str, str]) -> Mapping[str, Any]:
        """
        Return the body as it is sent.

        :param uploads: The URLs of the uploaded files, by the names that the files have in the payload.
        """
        return with_files_renamed(self.payload, lambda _, name: uploads[name]) if self.files else self.payload


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON value in hexadecimal, the same in every process."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
