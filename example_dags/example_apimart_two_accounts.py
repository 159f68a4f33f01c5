"""
Generate with the accounts of two teams in one DAG.

Each team has a connection of its own, so that each account pays for its own images. Here both ids are parameters of the
run, with the default connection as their default, so that the example runs with one connection.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_two_accounts",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={
        "shop_conn_id": Param("apimart_default", type="string"),
        "press_conn_id": Param("apimart_default", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
    },
    doc_md=__doc__,
):
    for team, prompt in {"shop": "A bowl of lemons, product photo", "press": "A city hall at dawn, ink"}.items():
        image = ApimartImageGenerationOperator(
            task_id=f"{team}_image",
            apimart_conn_id=f"{{{{ params.{team}_conn_id }}}}",
            model="gemini-3-pro-image-preview",
            prompt=prompt,
        )
        ApimartToObjectStorageOperator(
            task_id=f"save_{team}_image",
            apimart_conn_id=f"{{{{ params.{team}_conn_id }}}}",
            generation=image.output,
            destination="{{ params.destination }}",
        )
