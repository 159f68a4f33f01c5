"""DAGs with the same work as one batch, and as one task instance for each item."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

PARAMS = {"items": Param(100, type="integer"), "in_flight": Param(100, type="integer")}
ARGUMENTS: dict[str, Any] = {"start_date": datetime(2026, 1, 1), "catchup": False, "params": PARAMS}
MODEL = "gemini-2.5-flash-image-preview"


class BenchBatchOperator(ApimartBatchGenerationOperator):
    """Batch operator whose number of items and ``max_in_flight`` come from the run's parameters."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Generate the number of items that the run's parameters name."""
        params = context["params"]
        self.requests = [{"id": f"item-{number}", "prompt": f"Cat {number}"} for number in range(params["items"])]
        self.max_in_flight = params["in_flight"]
        return super().execute(context)


with DAG(dag_id="bench_batch", schedule=None, **ARGUMENTS):
    BenchBatchOperator(task_id="generate", model=MODEL, requests=[])

with DAG(dag_id="bench_mapped", schedule=None, **ARGUMENTS):

    @task
    def prompts(params: dict[str, Any]) -> list[str]:
        """Return as many prompts as the run asks for."""
        return [f"Cat {number}" for number in range(params["items"])]

    ApimartImageGenerationOperator.partial(
        task_id="generate",
        model=MODEL,
        deferrable=True,
        multiple_outputs=False,
        # A scheduler that is behind takes a task that comes back soon for a failed one; the retry takes it up again.
        retries=5,
        retry_delay=timedelta(0),
    ).expand(prompt=prompts())
