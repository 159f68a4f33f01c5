"""Use the hook in a Python task: read the balance, generate an image, and save it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_hook_in_task",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):

    @task(retries=2, multiple_outputs=False)
    def generate() -> dict[str, Any]:
        """Generate an image. Every try has the same idempotency key, so a retry is not charged again."""
        from hashlib import sha256

        from airflow.exceptions import AirflowFailException

        from airflow_provider_apimart.hooks.apimart import ApimartHook

        hook = ApimartHook(apimart_conn_id="apimart_default")
        balance = hook.get_balance()
        if balance.remaining is not None and balance.remaining < 1:
            raise AirflowFailException(f"Only ${balance.remaining} left; top up the account, then clear this task")
        context = get_current_context()
        # A key has at most 191 visible ASCII characters. A digest fits whatever the run id is, and is its own.
        run = f"{context['ti'].dag_id} {context['ti'].task_id} {context['run_id']}"
        submission = hook.submit_generation(
            "image",
            {"model": "gemini-3-pro-image-preview", "prompt": "A map of an island that does not exist"},
            idempotency_key=f"island-{sha256(run.encode()).hexdigest()}",
        )
        generation_id = submission.generation.generation_id
        return hook.wait_for_generation(str(generation_id), timeout=600).to_xcom()

    ApimartToObjectStorageOperator(task_id="save", generation=generate(), destination="{{ params.destination }}")
