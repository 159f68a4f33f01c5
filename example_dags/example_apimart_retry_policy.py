"""
A task that treats each kind of failure in its own way, with a retry policy of Airflow 3.3.

Without any configuration, what trying again can't mend (key, balance, permission, input, moderation) skips the retries
already. The policy sets how soon the rest is tried again. Below Airflow 3.3 there are no policies, and ``retry_delay``
counts for all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.exceptions import (
    ApimartGenerationFailedError,
    ApimartRateLimitError,
    ApimartUnknownOutcomeError,
    ApimartWaitTimeoutError,
)
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator


# [START howto_apimart_retry_policy]
def retry_policy() -> dict[str, Any]:
    """Return the operator's argument, or none where Airflow has no retry policies."""
    try:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
    except ImportError:
        return {}
    rules = [
        # The generation still runs: take it up again at once.
        RetryRule(exception=ApimartWaitTimeoutError, retry_delay=timedelta(0)),
        # The same request is repeated with its idempotency key, best while the service remembers it.
        RetryRule(exception=ApimartUnknownOutcomeError, retry_delay=timedelta(seconds=30)),
        RetryRule(exception=ApimartRateLimitError, retry_delay=timedelta(minutes=15)),
        # A failed generation is refunded; whoever doesn't want a second attempt says so here.
        RetryRule(exception=ApimartGenerationFailedError, action=RetryAction.FAIL, reason="tried once, as agreed"),
    ]
    return {"retry_policy": ExceptionRetryPolicy(rules=rules)}


# [END howto_apimart_retry_policy]


with DAG(
    dag_id="example_apimart_retry_policy",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):
    ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="A clock tower at noon, linocut",
        deferrable=True,
        retries=5,
        retry_delay=timedelta(minutes=1),
        **retry_policy(),
    )
