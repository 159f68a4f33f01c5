"""
Generate a first and a last frame, then a video that leads from one to the other, and save all three.

A model that takes frames by role gets them as ``image_with_roles``. Models differ in the names of the roles, which
the page of the model at APIMart lists.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_images_to_video",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    first, last = (
        ApimartImageGenerationOperator(
            task_id=f"{time_of_day}_frame",
            model="gemini-3-pro-image-preview",
            prompt=f"A mountain village in the {time_of_day}, gouache",
            size="16:9",
        )
        for time_of_day in ("morning", "evening")
    )
    video = ApimartVideoGenerationOperator(
        task_id="video",
        model="doubao-seedance-1-5-pro",
        prompt="One day passes in time lapse",
        image_with_roles=[
            {"url": first.output["url"], "role": "first_frame"},
            {"url": last.output["url"], "role": "last_frame"},
        ],
        duration=5,
        deferrable=True,
        timeout=timedelta(minutes=30),
        retries=2,
    )
    ApimartToObjectStorageOperator(
        task_id="save",
        generation=[first.output, last.output, video.output],
        destination="{{ params.destination }}",
        retries=5,
    )
