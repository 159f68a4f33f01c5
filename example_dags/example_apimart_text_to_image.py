"""Two pictures from a prompt, in one operator that waits on the worker."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

with DAG(
    dag_id="example_apimart_text_to_image",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):
    # [START howto_operator_apimart_image]
    ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="A lighthouse in the morning mist, watercolour",
        size="4:3",
        n=2,
    )
    # [END howto_operator_apimart_image]
