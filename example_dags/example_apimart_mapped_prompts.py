"""One picture for each prompt of a list that another task makes."""

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
    params={"destination": Param("file:///tmp/apimart", type="string")},
    doc_md=__doc__,
):

    @task
    def prompts() -> list[str]:
        """Return the prompts of the day, in a real DAG from a table or a file."""
        return [f"A {animal} reading a newspaper, woodcut" for animal in ("fox", "heron", "badger")]

    # [START howto_operator_apimart_mapped]
    generate = ApimartImageGenerationOperator.partial(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        size="1:1",
        deferrable=True,
        retries=2,
        map_index_template="{{ task.prompt }}",
        # Together with a pool, this keeps a large map within the account's rate limit.
        max_active_tis_per_dag=16,
    ).expand(prompt=prompts())
    # [END howto_operator_apimart_mapped]

    ApimartToObjectStorageOperator.partial(task_id="save", destination="{{ params.destination }}").expand(
        generation=generate.output
    )
