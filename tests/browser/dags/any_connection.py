"""A picture through whichever connection a run names."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

with DAG(
    dag_id="any_connection",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"connection": Param("apimart_default", type="string")},
):
    ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="A lighthouse",
        apimart_conn_id="{{ params.connection }}",
    )
