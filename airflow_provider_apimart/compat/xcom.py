"""Values that a task can return, and the XCom keys that its DAG names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_apimart.compat.versions import REFUSES_NONE_IN_XCOM


def returnable(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping without the keys whose value is ``None``, where Airflow refuses such an XCom."""
    refused = REFUSES_NONE_IN_XCOM.is_present
    return {key: value for key, value in outputs.items() if value is not None or not refused}


def keys_named_downstream(task: Any) -> set[str]:
    """
    Return the XCom keys of a task that tasks of its DAG name, as in ``task.output["cost"]``.

    A key inside a Jinja template, as in ``xcom_pull(key="cost")``, is not seen.
    """
    from airflow.providers.common.compat.sdk import XComArg

    dag = task.get_dag()
    references = (XComArg.iter_xcom_references(_arguments(each)) for each in (dag.tasks if dag else ()))
    return {key for found in references for operator, key in found if operator.task_id == task.task_id}


def _arguments(task: Any) -> list[Any]:
    """Return the arguments that may hold references to other tasks."""
    # Airflow 2.11 has no ``is_mapped``.
    if hasattr(task, "partial_kwargs"):
        return [task.partial_kwargs, getattr(task, "op_kwargs_expand_input", task.expand_input).value]
    return [getattr(task, field, None) for field in task.template_fields]
