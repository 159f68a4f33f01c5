"""
Two DAGs: the first generates an image and saves it, the second starts when it is saved and reads what it is.

The event of an asset among a task's ``outlets`` holds each generation's id, model, cost and the SHA-256 of its prompt,
and each file's URI, size and SHA-256.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, Param, get_current_context, task

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

images = Asset("apimart_images")

with DAG(
    dag_id="example_apimart_assets",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    generate = ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="A poster for a village fair, screen print"
    )
    ApimartToObjectStorageOperator(
        task_id="save", generation=generate.output, destination="{{ params.destination }}", outlets=[images]
    )

with DAG(
    dag_id="example_apimart_assets_consumer",
    schedule=[images],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):

    @task
    def report() -> list[str]:
        """Return a line for each file of the events that started this run."""
        context = get_current_context()
        # Assets were called datasets below Airflow 3.
        triggering = context.get("triggering_asset_events") or context["triggering_dataset_events"]
        return [
            f"{file['uri']} was made by {generation['model']}; its SHA-256 is {file['sha256']}"
            for events in triggering.values()
            for event in events
            for generation in event.extra["generations"]
            for file in generation["files"]
        ]

    report()
