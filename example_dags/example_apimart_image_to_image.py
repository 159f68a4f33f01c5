"""
Generate an image from a reference image: upload it, submit the generation, wait in the triggerer, save the result.

The reference is the image beside this file unless the run's configuration names another, for example
``{"reference": "/data/reference.jpg", "destination": "s3://aws_default@bucket/images"}``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.operators.upload import ApimartUploadImageOperator
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_image_to_image",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={
        "reference": Param(
            str(Path(__file__).with_name("reference.jpg")),
            type="string",
            description="Absolute path or object storage URI.",
        ),
        "prompt": Param("Ghibli style", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
    },
    doc_md=__doc__,
):
    upload = ApimartUploadImageOperator(task_id="upload", image="{{ params.reference }}")
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="{{ params.prompt }}",
        image_urls=[upload.output],
        size="16:9",
        wait_for_completion=False,
    )
    wait = ApimartGenerationSensor(task_id="wait", generation=generate.output, deferrable=True)
    ApimartToObjectStorageOperator(task_id="save", generation=wait.output, destination="{{ params.destination }}")
