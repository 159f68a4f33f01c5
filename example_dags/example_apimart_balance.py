"""Generate an image only if the API key's balance allows it; otherwise the run is skipped at no cost."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sensors.balance import ApimartBalanceSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_balance",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    enough = ApimartBalanceSensor(
        task_id="enough",
        required=5,
        # Read the balance once, and skip the rest of the DAG if it is too low.
        timeout=0,
        soft_fail=True,
    )
    generate = ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="A shop window at Christmas, gouache"
    )
    save = ApimartToObjectStorageOperator(
        task_id="save", generation=generate.output, destination="{{ params.destination }}"
    )
    enough >> generate >> save
