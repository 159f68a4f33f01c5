"""The DAG to test: generate an image and save it."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="city",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"prompt": Param("A city at night", type="string"), "destination": Param("/tmp/city", type="string")},
):
    generate = ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="{{ params.prompt }}", retries=1
    )
    ApimartToObjectStorageOperator(task_id="save", generation=generate.output, destination="{{ params.destination }}")
