"""
Generate one image for each item of a list, in one task instance, and save each as soon as it is complete.

The list may have thousands of items. Items fail separately, and a retry submits only what is missing.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, Param, task

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator

with DAG(
    dag_id="example_apimart_batch",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):

    @task
    def items() -> list[dict[str, str]]:
        """Return the items; in a real DAG they come from a table or a file."""
        animals = ("fox", "heron", "badger", "owl")
        return [{"id": animal, "prompt": f"A {animal} reading a newspaper, woodcut"} for animal in animals]

    images = ApimartBatchGenerationOperator(
        task_id="images",
        requests=items(),
        model="gemini-3-pro-image-preview",
        size="1:1",
        destination="{{ params.destination }}",
        # Submit nothing more at 50 US dollars. Succeed if at most 2 % of the items are missing.
        max_cost=50,
        max_failures=0.02,
        deferrable=True,
        retries=3,
        retry_delay=timedelta(minutes=1),
    )

    @task
    def missing(ledger: str) -> list[str]:
        """Return each item without a saved file, with the reason. The ledger has one line for each item."""
        lines = [json.loads(line) for line in ObjectStoragePath(ledger).read_text().splitlines()]
        return [f"{line['id']}: {line['status']}, {line['reason']}" for line in lines if not line["files"]]

    missing(images.output["ledger"])
