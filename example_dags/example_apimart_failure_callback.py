"""
Report a failure to a person: the generation, its model, the reason, and what to do.

Here the report goes to the log. Send it as a mail, a chat message or an incident instead, or with one of Airflow's
notifiers.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.exceptions import (
    ApimartGenerationFailedError,
    ApimartIndeterminateOutcomeError,
    ApimartModerationError,
    ApimartUnknownOutcomeError,
)
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator


def report_failure(context: dict[str, Any]) -> None:
    """Report which generation failed, why, and what to do about it."""
    ti, error = context["ti"], context.get("exception")
    # Where no error is known, as of a worker that was killed, XCom knows the generation if one was submitted.
    generation_id = getattr(error, "generation_id", None) or ti.xcom_pull(task_ids=ti.task_id, key="generation_id")
    logging.getLogger("airflow.task").error(
        "Task %s of %s failed. Generation: %s. Model: %s. Reason: %s. What to do: %s.",
        ti.task_id,
        ti.dag_id,
        generation_id or "none that is known of",
        getattr(context.get("task"), "model", "unknown"),
        getattr(error, "summary", error) or "see the task's log",
        what_to_do(error, generation_id),
    )


def what_to_do(error: object, generation_id: str | None) -> str:
    """Return advice for the person on duty."""
    match error:
        case ApimartModerationError():
            return "change the prompt or the reference; the same request would be refused again"
        case ApimartGenerationFailedError():
            return "clear the task to try once more; APIMart refunds what failed"
        case ApimartUnknownOutcomeError() | ApimartIndeterminateOutcomeError():
            return (
                "it may have been charged: look for it in APIMart's log. If it is there, give its id to an "
                "ApimartGenerationSensor; clear the task only if it is not there, since that may pay again"
            )
    if generation_id:
        return "clear the task; it resumes the generation if that is still running"
    return "fix what the reason says, then clear the task"


with DAG(
    dag_id="example_apimart_failure_callback",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={
        "prompt": Param("A harbour before the storm, oil on canvas", type="string"),
        "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
    },
    doc_md=__doc__,
):
    generate = ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-3-pro-image-preview",
        prompt="{{ params.prompt }}",
        on_failure_callback=report_failure,
    )
    ApimartToObjectStorageOperator(task_id="save", generation=generate.output, destination="{{ params.destination }}")
