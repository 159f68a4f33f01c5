"""
Generate one image a day, with a limit in US dollars for each run.

A backfill starts one run for each day, and every run is paid for: 365 days are 365 images. ``max_cost`` limits a run,
``max_active_runs`` the number of runs at a time.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator

# A run without a logical date has the time from which it may run.
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"

with DAG(
    dag_id="example_apimart_daily",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    ApimartBatchGenerationOperator(
        task_id="images",
        requests=[{"id": "calendar", "prompt": f"A calendar page for {DAY}, linocut"}],
        model="gemini-3-pro-image-preview",
        destination="{{ params.destination }}",
        max_cost=0.2,
        retries=3,
    )
