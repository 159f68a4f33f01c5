"""
Generate an image from a reference file, without a task that uploads it.

The reference is the image beside this file unless the run's configuration names another, for example
``{"reference": "s3://aws_default@bucket/reference.jpg", "destination": "s3://aws_default@bucket/images"}``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_local_references",
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
        "prompt": Param("The same scene at night", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
    },
    doc_md=__doc__,
):
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="{{ params.prompt }}",
        image_urls=["{{ params.reference }}"],
        upload_references=True,
        deferrable=True,
        retries=2,
    )
    ApimartToObjectStorageOperator(task_id="save", generation=generate.output, destination="{{ params.destination }}")
