"""
Quote tonight's batch, and ask a person only if it is quoted above a limit.

The task ``quote`` spends nothing. ``choose`` goes on alone if the quote is within the limit and complete; otherwise
``approve`` waits for a person without a worker slot, with the number of images and the quote. *Reject*, or no answer
within 8 hours, skips the batch at no cost. The batch may cost no more than its quote.

This needs Airflow 3.1 and ``apache-airflow-providers-standard`` 1.13; elsewhere this file defines no DAG.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from inspect import signature
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowOptionalProviderFeatureException, Param, task

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.quote import ApimartQuoteOperator

REQUESTS = [
    {"id": "fox", "prompt": "A fox in fresh snow, woodcut"},
    {"id": "heron", "prompt": "A heron at dawn, woodcut", "n": 2},
    {"id": "badger", "prompt": "A badger by moonlight, woodcut", "resolution": "4K"},
]


def approval_operator() -> Any:
    """Return Airflow's operator, or ``None`` where there is none or its waiting time can't be set."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
    except (ImportError, AirflowOptionalProviderFeatureException):
        return None
    return ApprovalOperator if "response_timeout" in signature(HITLOperator).parameters else None


if ApprovalOperator := approval_operator():
    with DAG(
        dag_id="example_apimart_quote",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        tags=["example", "apimart"],
        params={
            "limit": Param(0.5, type="number", description="US dollars above which a person is asked."),
            "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
        },
        doc_md=__doc__,
        render_template_as_native_obj=True,
    ):
        quote = ApimartQuoteOperator(task_id="quote", requests=REQUESTS, model="gemini-3-pro-image-preview")

        @task.branch
        def choose(cost: float, without_quote: int, limit: float) -> str:
            """Return the task that follows: a person is asked above the limit, or where the cost isn't known."""
            return "approve" if cost > limit or without_quote else "images"

        chosen = choose(quote.output["cost"], quote.output["without_quote"], "{{ params.limit }}")
        approve = ApprovalOperator(
            task_id="approve",
            subject="Pay for tonight's images? (run {{ run_id }})",
            body="Images requested: {{ ti.xcom_pull(task_ids='quote', key='items') }}\n\n"
            "Quote: ${{ ti.xcom_pull(task_ids='quote', key='cost') }}, certainty "
            "{{ ti.xcom_pull(task_ids='quote', key='certainty') }}",
            response_timeout=timedelta(hours=8),
            defaults="Reject",
        )
        images = ApimartBatchGenerationOperator(
            task_id="images",
            requests=REQUESTS,
            model="gemini-3-pro-image-preview",
            destination="{{ params.destination }}",
            max_cost=quote.output["cost"],
            trigger_rule="none_failed_min_one_success",
            retries=3,
        )
        chosen >> [approve, images]
        approve >> images
