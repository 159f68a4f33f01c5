"""
A batch: a picture for every item of a list, in one task instance, saved as soon as it is ready.

The list may have thousands of items. Each is paid for once and fails alone; a retry goes on with what is missing.
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
    params={"destination": Param("file:///tmp/apimart", type="string", description="Any object storage URI.")},
    doc_md=__doc__,
):

    @task
    def prompts() -> list[dict[str, str]]:
        """Return the items of the day, in a real DAG from a table or a file."""
        animals = ("fox", "heron", "badger", "owl")
        return [{"id": animal, "prompt": f"A {animal} reading a newspaper, woodcut"} for animal in animals]

    # [START howto_operator_apimart_batch]
    pictures = ApimartBatchGenerationOperator(
        task_id="pictures",
        requests=prompts(),
        model="gemini-3-pro-image-preview",
        size="1:1",
        destination="{{ params.destination }}/{{ run_id }}/",
        # Stop submitting at 50 US dollars, and succeed even if one item in fifty is missing.
        max_cost=50,
        max_failures=0.02,
        deferrable=True,
        retries=3,
        retry_delay=timedelta(minutes=1),
    )
    # [END howto_operator_apimart_batch]

    @task
    def missing(ledger: str) -> list[str]:
        """Tell what isn't there and why. The ledger has a line for every item."""
        items = [json.loads(line) for line in ObjectStoragePath(ledger).read_text().splitlines()]
        reasons = [f"{item['id']}: {item['status']}, {item['reason']}" for item in items if not item["files"]]
        print(*reasons, sep="\n")
        return reasons

    # The manifest's other values are the counts, "cost" and "gallery", a page that shows the pictures.
    missing(pictures.output["ledger"])
