"""
A picture from a reference picture: upload it, submit the generation, wait in the triggerer, save the result.

Trigger it with the path of a picture and a directory, for example
``{"reference": "/data/reference.jpg", "destination": "s3://aws_default@pictures/"}``.
"""

from __future__ import annotations

from datetime import datetime

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
        "reference": Param("reference.jpg", type="string", description="A local path or object storage URI."),
        "prompt": Param("Ghibli style", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Any object storage URI."),
    },
    doc_md=__doc__,
):
    # [START howto_operator_apimart_upload]
    upload = ApimartUploadImageOperator(task_id="upload", image="{{ params.reference }}")
    # [END howto_operator_apimart_upload]
    # [START howto_operator_apimart_submit]
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="{{ params.prompt }}",
        image_urls=[upload.output],
        size="16:9",
        wait_for_completion=False,
    )
    # [END howto_operator_apimart_submit]
    # [START howto_sensor_apimart_generation]
    wait = ApimartGenerationSensor(task_id="wait", generation=generate.output, deferrable=True)
    # [END howto_sensor_apimart_generation]
    # [START howto_transfer_apimart]
    ApimartToObjectStorageOperator(
        task_id="save",
        generation=wait.output,
        destination="{{ params.destination }}/{{ ds | default('manual') }}/",
    )
    # [END howto_transfer_apimart]
