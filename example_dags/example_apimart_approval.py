"""
Generate an image, show it to a person, and generate a video from it only after they approve.

The task ``approve`` waits for a person without a worker slot. It is listed under *Browse → Required Actions*; its page
shows the image, the prompt and the price of the video. *Approve* generates the video. *Reject*, or no answer within 20
hours, skips it at no further cost. The limit is 20 hours because the image's URL, from which the video is made, expires
after about a day.

This needs Airflow 3.1 and ``apache-airflow-providers-standard`` 1.13; elsewhere this file defines no DAG.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from inspect import signature
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowOptionalProviderFeatureException, Param

from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator


def approval_operator() -> Any:
    """Return Airflow's operator, or ``None`` where there is none or its waiting time can't be set."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLOperator
    except (ImportError, AirflowOptionalProviderFeatureException):
        return None
    return ApprovalOperator if "response_timeout" in signature(HITLOperator).parameters else None


if ApprovalOperator := approval_operator():
    with DAG(
        dag_id="example_apimart_approval",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        tags=["example", "apimart"],
        params={
            "prompt": Param("A paper boat on a rainy street, watercolour", type="string"),
            "video_price": Param(
                "0.35", type="string", description="US dollars for five seconds, from the model's page at APIMart."
            ),
            "destination": Param("file:///tmp/apimart", type="string", description="Directory or object storage URI."),
        },
        doc_md=__doc__,
    ):
        draw = ApimartImageGenerationOperator(
            task_id="draw", model="gemini-3-pro-image-preview", prompt="{{ params.prompt }}", size="16:9"
        )
        image_url = draw.output["url"]
        approve = ApprovalOperator(
            task_id="approve",
            subject="Make a video from this image? (run {{ run_id }})",
            body=f"[![The picture]({image_url})]({image_url})\n\n"
            "Prompt: {{ params.prompt }}\n\n"
            "The video costs about ${{ params.video_price }}.",
            response_timeout=timedelta(hours=20),
            defaults="Reject",
        )
        film = ApimartVideoGenerationOperator(
            task_id="film",
            model="kling-v2-6",
            prompt="{{ params.prompt }}, in gentle motion",
            image_urls=[image_url],
            duration=5,
            deferrable=True,
            timeout=timedelta(minutes=30),
            retries=2,
        )
        save_image, save_video = (
            ApimartToObjectStorageOperator(
                task_id=task_id, generation=made.output, destination="{{ params.destination }}", retries=5
            )
            for task_id, made in {"save_image": draw, "save_video": film}.items()
        )
        draw >> approve >> film
