"""Generate one image for each prompt of a list that another task returns."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_mapped_prompts",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):

    @task
    def prompts() -> list[str]:
        """Return the prompts; in a real DAG they come from a table or a file."""
        return [f"A {animal} reading a newspaper, woodcut" for animal in ("fox", "heron", "badger")]

    generate = ApimartImageGenerationOperator.partial(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        size="1:1",
        deferrable=True,
        retries=2,
        map_index_template="{{ task.prompt }}",
        # Together with a pool, this keeps many mapped instances within the account's rate limit.
        max_active_tis_per_dag=16,
    ).expand(prompt=prompts())
    ApimartToObjectStorageOperator.partial(task_id="save", destination="{{ params.destination }}").expand(
        generation=generate.output
    )
