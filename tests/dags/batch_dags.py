"""DAGs of the tests of batches. What a run's conf holds under ``arguments`` is set on the operator of that run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Context, Param, task

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator

COMMON = {"start_date": datetime(2026, 1, 1), "catchup": False}
RETRIED = {"retries": 1000, "retry_delay": timedelta(0)}


def as_the_run_says(context: Context) -> None:
    """Set the operator's arguments."""
    for name, value in context["params"]["arguments"].items():
        setattr(context["task"], name, value)


def batch(requests: Any, **arguments: Any) -> ApimartBatchGenerationOperator:
    """Define the batch of a DAG."""
    return ApimartBatchGenerationOperator(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        requests=requests,
        poll_interval=0.1,
        pre_execute=as_the_run_says,
        **arguments,
    )


for deferrable in (False, True):
    for name, more in (
        ("", {"retries": 3}),
        ("_retried", RETRIED),
        ("_limited", {**RETRIED, "execution_timeout": timedelta(seconds=2)}),
    ):
        with DAG(
            dag_id=f"lab_batch{name}_{'deferred' if deferrable else 'waiting'}",
            params={"requests": Param("/nowhere.jsonl", type="string"), "arguments": Param({}, type="object")},
            default_args={"retry_delay": timedelta(0)},
            schedule=None,
            **COMMON,
        ) as dag:
            batch("{{ params.requests }}", deferrable=deferrable, **more)
        globals()[dag.dag_id] = dag

for mapped in (False, True):
    with DAG(
        dag_id=f"lab_batch_of_{'mapped' if mapped else 'listed'}_requests",
        params={"requests": Param([], type="array"), "arguments": Param({}, type="object")},
        schedule=None,
        **COMMON,
    ) as dag:

        @task
        def listed(params: dict[str, Any] | None = None) -> list[Any]:
            """Return the requests."""
            return list((params or {})["requests"])

        @task
        def one(request: Any) -> Any:
            """Return one request."""
            return request

        @task
        def read(ledger: str, completed: int) -> list[Any]:
            """Read the ledger as a task after the batch does."""
            import json

            from airflow.providers.common.compat.sdk import ObjectStoragePath

            lines = [json.loads(line) for line in ObjectStoragePath(ledger).read_text().splitlines()]
            return [completed, *([line["id"], line["status"]] for line in lines)]

        made = batch(one.expand(request=listed()) if mapped else listed())
        read(made.output["ledger"], made.output["completed"])
    globals()[dag.dag_id] = dag
