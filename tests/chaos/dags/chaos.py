"""The DAG that has to end well: mapped generations, each saved, and a batch. How many, the environment says."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task_group

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

MODEL = "gemini-2.5-flash-image-preview"
PICTURES = Path(os.environ["APIMART_CHAOS_PICTURES"])
MAPPED = int(os.environ["APIMART_CHAOS_MAPPED"])
BATCH = int(os.environ["APIMART_CHAOS_BATCH"])


@task_group
def picture(prompt: str, deferrable: bool) -> None:
    """Make a picture and save it."""
    generate = ApimartImageGenerationOperator(task_id="generate", model=MODEL, prompt=prompt, deferrable=deferrable)
    ApimartToObjectStorageOperator(task_id="save", generation=generate.output, destination=str(PICTURES / "mapped"))


with DAG(
    dag_id="chaos",
    schedule="@once",
    start_date=datetime(2026, 1, 1),
    is_paused_upon_creation=False,
    # A killed worker costs each of its tasks a try.
    default_args={"retries": 100, "retry_delay": timedelta(seconds=1)},
):
    for name, deferrable in (("waiting", False), ("deferred", True)):
        picture.override(group_id=name).partial(deferrable=deferrable).expand(
            prompt=[f"{name} cat number {number}" for number in range(MAPPED // 2)]
        )
    ApimartBatchGenerationOperator(
        task_id="batch",
        model=MODEL,
        requests=[{"id": f"item-{number}", "prompt": "a cat"} for number in range(BATCH)],
        destination=str(PICTURES / "batch"),
        max_in_flight=50,
        deferrable=True,
    )
