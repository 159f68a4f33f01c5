"""
A picture from reference pictures that lie on the worker or in an object storage, with no task to upload them.

Trigger it with the path of a picture and a directory, for example
``{"reference": "s3://aws_default@pictures/reference.jpg", "destination": "s3://aws_default@pictures/made/"}``.
"""

from __future__ import annotations

from datetime import datetime

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
        "reference": Param("reference.jpg", type="string", description="A local path or object storage URI."),
        "prompt": Param("The same scene at night", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Any object storage URI."),
    },
    doc_md=__doc__,
):
    # [START howto_operator_apimart_references]
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="{{ params.prompt }}",
        image_urls=["{{ params.reference }}"],
        upload_references=True,
        deferrable=True,
    )
    # [END howto_operator_apimart_references]
    ApimartToObjectStorageOperator(
        task_id="save",
        generation=generate.output,
        destination="{{ params.destination }}/{{ ds | default('manual') }}/",
    )
