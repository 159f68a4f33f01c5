"""
Two DAGs: one makes a picture and saves it, the other starts as soon as it is saved and is told what it is.

The event of an asset among a task's ``outlets`` tells of each generation its id, model, cost and the SHA-256 of the
prompt, and of each file where it is and, once it was saved, its size and SHA-256. Of more than 100 files it tells the
first, how many there are, and where the rest is told.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, Param, get_current_context, task

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

pictures = Asset("apimart_pictures")

with DAG(
    dag_id="example_apimart_assets",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string")},
    doc_md=__doc__,
):
    # [START howto_apimart_assets]
    generate = ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="A poster for a village fair, screen print"
    )
    ApimartToObjectStorageOperator(
        task_id="save", generation=generate.output, destination="{{ params.destination }}", outlets=[pictures]
    )
    # [END howto_apimart_assets]

with DAG(
    dag_id="example_apimart_assets_consumer",
    schedule=[pictures],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):
    # [START howto_apimart_assets_consumer]
    @task
    def report() -> list[str]:
        """Return a line for every file that has started this run."""
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

    # [END howto_apimart_assets_consumer]
    report()
