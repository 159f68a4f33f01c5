"""The hook in a plain task: check the balance, make a picture, and use its URL in Python."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

with DAG(
    dag_id="example_apimart_hook_in_task",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):
    # [START howto_hook_apimart]
    @task(retries=2, multiple_outputs=False)
    def generate() -> dict[str, Any]:
        """Make a picture; the key is the same in every try, so a retry isn't charged again."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        hook = ApimartHook()
        balance = hook.get_balance()
        if balance.remaining is not None and balance.remaining < 1:
            raise ValueError(f"Only ${balance.remaining} are left")
        run_id = get_current_context()["run_id"]
        submission = hook.submit_generation(
            "image",
            {"model": "gemini-3-pro-image-preview", "prompt": "A map of an island that isn't there"},
            # Keys hold visible ASCII characters only, which a run id is after this.
            idempotency_key=f"island-{run_id}".replace(" ", "_")[:191],
        )
        generation_id = submission.generation.generation_id
        return hook.wait_for_generation(str(generation_id), timeout=600).to_xcom()

    # [END howto_hook_apimart]

    @task
    def report(generation: dict[str, Any]) -> str:
        """Use the result as any other value."""
        return f"{generation['url']} cost ${generation['cost']} and lives until {generation['expires_at']}"

    report(generate())
