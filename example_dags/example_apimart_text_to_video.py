"""Generate a video from a prompt, wait for it in the triggerer, and save it."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartVideoGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_text_to_video",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    video = ApimartVideoGenerationOperator(
        task_id="video",
        model="kling-v2-6",
        prompt="A paper boat drifts down a rainy street",
        duration=5,
        aspect_ratio="16:9",
        deferrable=True,
        timeout=timedelta(minutes=30),
        retries=2,
    )
    ApimartToObjectStorageOperator(
        task_id="save", generation=video.output, destination="{{ params.destination }}", retries=5
    )
