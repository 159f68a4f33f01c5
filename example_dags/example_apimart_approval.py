"""
A clip that a person has approved: a picture first, and the expensive video from it only after someone has said yes.

The task ``approve`` waits for a person, without a worker slot. It is listed under *Browse → Required Actions*, and its
page shows the picture, 300 pixels wide; a click on it opens the whole. *Approve* makes the clip from just that
picture, *Reject* skips the clip and costs nothing more, and so does no answer within 20 hours: the picture's URL, from
which the clip is made, lives for about a day. The browser fetches the picture from that URL, as any other page does.

It needs Airflow 3.1 and version 1.13 of ``apache-airflow-providers-standard``; elsewhere this file defines no DAG.
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


def approval_operator() -> Any:
    """Return Airflow's operator, or nothing where there is none or it can't be told how long to wait."""
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
        params={"prompt": Param("A paper boat on a rainy street, watercolour", type="string")},
        doc_md=__doc__,
    ):
        draw = ApimartImageGenerationOperator(
            task_id="draw", model="gemini-3-pro-image-preview", prompt="{{ params.prompt }}", size="16:9"
        )
        approve = ApprovalOperator(
            task_id="approve",
            subject="Shall this picture become a clip?",
            body=f"[![The picture]({draw.output['url']})]({draw.output['url']})",
            response_timeout=timedelta(hours=20),
            defaults="Reject",
        )
        film = ApimartVideoGenerationOperator(
            task_id="film",
            model="kling-v2-6",
            prompt="{{ params.prompt }}, in gentle motion",
            image_urls=[draw.output["url"]],
            duration=5,
            deferrable=True,
            timeout=timedelta(minutes=30),
            retries=2,
        )
        draw >> approve >> film
