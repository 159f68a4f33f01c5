"""
Generate one image for each row of a CSV file, with a model and a size of its own.

``expand_kwargs`` maps an operator over several arguments at once. ``key`` names the files of each product. The
connection is set for all rows here; a row may name one of its own, as a second account.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

PRODUCTS = """\
key,prompt,model,size
kettle,"A red kettle on a white table, product photo",gemini-3-pro-image-preview,1:1
umbrella,"A blue umbrella on a white table, product photo",gemini-2.5-flash-image-preview,4:3
"""

with DAG(
    dag_id="example_apimart_products",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):

    @task
    def rows() -> list[dict[str, str]]:
        """Return the rows; in a real DAG they are read from a file: ``csv.DictReader(path.open())``."""
        return list(csv.DictReader(io.StringIO(PRODUCTS)))

    generate = ApimartImageGenerationOperator.partial(
        task_id="generate",
        apimart_conn_id="apimart_default",
        deferrable=True,
        retries=2,
        map_index_template="{{ task.key }}",
        max_active_tis_per_dag=16,
    ).expand_kwargs(rows())
    ApimartToObjectStorageOperator.partial(
        task_id="save", destination="{{ params.destination }}", filename="{key}_{index}"
    ).expand(generation=generate.output)
