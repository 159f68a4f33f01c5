"""
Generate the items of a JSON Lines file, images and videos in one batch.

Each line is one item. Fields missing from an item default to the operator's arguments. Here a task writes the file; in
a real DAG it is in a bucket.
"""

from __future__ import annotations

import json
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator

ITEMS = (
    {"id": "cat", "prompt": "A cat reading a newspaper, woodcut"},
    {"id": "page", "modality": "video", "model": "veo3.1-fast", "prompt": "The cat turns the page", "duration": 8},
)

with DAG(
    dag_id="example_apimart_batch_from_file",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):

    @task
    def write_items(destination: str, run: str) -> str:
        """Write the items to a file and return its URI."""
        folder = ObjectStoragePath(destination)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"items_{run}.jsonl"
        file.write_text("\n".join(json.dumps(item) for item in ITEMS))
        return str(file)

    ApimartBatchGenerationOperator(
        task_id="generate",
        requests=write_items("{{ params.destination }}", "{{ run_id }}"),
        model="gemini-3-pro-image-preview",
        destination="{{ params.destination }}",
        max_cost=5,
        deferrable=True,
        retries=3,
    )
