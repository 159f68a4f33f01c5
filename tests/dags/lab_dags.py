"""DAGs of the tests: one generation, waiting or deferred, mapped or not."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

for deferrable in (False, True):
    for mapped in (False, True):
        name = f"lab_{'mapped' if mapped else 'single'}_{'deferred' if deferrable else 'waiting'}"
        with DAG(
            dag_id=name,
            schedule=None,
            start_date=datetime(2026, 1, 1),
            catchup=False,
            params={
                "prompt": Param("a cat", type="string"),
                "on_unknown_outcome": Param("retry_same_key", type="string"),
            },
            default_args={"retries": 3, "retry_delay": timedelta(0)},
        ) as dag:
            arguments = {
                "task_id": "generate",
                "model": "gemini-2.5-flash-image-preview",
                "deferrable": deferrable,
                "poll_interval": 0.05,
            }
            if mapped:
                ApimartImageGenerationOperator.partial(**arguments).expand(
                    prompt=["{{ params.prompt }} one", "{{ params.prompt }} two"]
                )
            else:
                ApimartImageGenerationOperator(prompt="{{ params.prompt }}", **arguments)
        globals()[name] = dag
