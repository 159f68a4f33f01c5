"""A clip from a prompt, waiting in the triggerer, and saved at once: its URL lives for about a day."""

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
    params={"destination": Param("file:///tmp/apimart", type="string")},
    doc_md=__doc__,
):
    # [START howto_operator_apimart_video]
    film = ApimartVideoGenerationOperator(
        task_id="film",
        model="kling-v2-6",
        prompt="A paper boat drifts down a rainy street",
        duration=5,
        aspect_ratio="16:9",
        deferrable=True,
        # Clips take minutes. A passed deadline loses nothing: the retry takes the same generation up again.
        timeout=timedelta(minutes=30),
        retries=2,
    )
    # [END howto_operator_apimart_video]
    ApimartToObjectStorageOperator(task_id="save", generation=film.output, destination="{{ params.destination }}")
