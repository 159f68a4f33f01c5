"""The mistakes of a newcomer, by default and refused."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

for check in ("warn", "refuse"):
    with DAG(
        dag_id=f"checked_{check}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"retries": 3, "retry_delay": timedelta(0), "poll_interval": 0.05, "check": check},
    ) as dag:
        ApimartImageGenerationOperator(
            task_id="single",
            model="gemini-3-pro-image-preview",
            prompt="a cat",
            parameters={"aspect_ration": "16:9", "resolutoin": "4K"},
        )
        ApimartBatchGenerationOperator(
            task_id="batch",
            model="gemini-3-pro-image-preview",
            prompt="a cat",
            requests=[{"id": "a"}, {"id": "b", "promt": "a dog"}, {"id": "c", "promt": "a fox"}],
        )
    globals()[dag.dag_id] = dag
