"""
Treat each kind of failure in its own way, with a retry policy of Airflow 3.3.

Errors a retry cannot fix (key, balance, permission, input, moderation) fail immediately without any configuration. The
policy sets when the others are retried. Below Airflow 3.3 there are no policies, and ``retry_delay`` counts for all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.exceptions import (
    ApimartGenerationFailedError,
    ApimartRateLimitError,
    ApimartUnknownOutcomeError,
    ApimartWaitTimeoutError,
)
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator


def retry_policy() -> dict[str, Any]:
    """Return the operator's argument, or none where Airflow has no retry policies."""
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError:
        return {}
    rules = [
        # The generation is still running: resume waiting at once.
        RetryRule(exception=ApimartWaitTimeoutError, retry_delay=timedelta(0)),
        # The identical request is sent again with the same idempotency key.
        RetryRule(exception=ApimartUnknownOutcomeError, retry_delay=timedelta(seconds=30)),
        RetryRule(exception=ApimartRateLimitError, retry_delay=timedelta(minutes=15)),
        # A failed generation is refunded. This rule makes no second attempt.
        RetryRule(exception=ApimartGenerationFailedError, action=RetryAction.FAIL, reason="one attempt only"),
    ]
    return {"retry_policy": ExceptionRetryPolicy(rules=rules)}


with DAG(
    dag_id="example_apimart_retry_policy",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI.")},
    doc_md=__doc__,
):
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="A clock tower at noon, linocut",
        deferrable=True,
        retries=5,
        retry_delay=timedelta(minutes=1),
        **retry_policy(),
    )
    ApimartToObjectStorageOperator(task_id="save", generation=generate.output, destination="{{ params.destination }}")
