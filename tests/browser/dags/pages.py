"""DAGs whose results the pages show: a batch, a video and music."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import (
    ApimartMusicGenerationOperator,
    ApimartVideoGenerationOperator,
)

with DAG(
    dag_id="pages",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    render_template_as_native_obj=True,
    params={"requests": Param([], type="array"), "destination": Param("", type="string")},
):
    ApimartBatchGenerationOperator(
        task_id="catalogue",
        model="gemini-3-pro-image-preview",
        requests="{{ params.requests }}",
        destination="{{ params.destination }}",
        max_failures=3,
        max_cost=100,
        poll_interval=0.5,
        allow_private_hosts=True,
    )
    ApimartVideoGenerationOperator(
        task_id="film",
        model="veo3.1-fast",
        prompt="A paper boat sails down a rainy street",
        duration=4,
        destination="{{ params.destination }}",
        allow_private_hosts=True,
    )
    ApimartMusicGenerationOperator(
        task_id="score",
        model="suno",
        prompt="A calm piano piece",
        destination="{{ params.destination }}",
        allow_private_hosts=True,
    )

with DAG(
    dag_id="pages_slow",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    render_template_as_native_obj=True,
    params={"requests": Param([], type="array"), "destination": Param("", type="string")},
):
    ApimartBatchGenerationOperator(
        task_id="catalogue",
        model="gemini-3-pro-image-preview",
        requests="{{ params.requests }}",
        destination="{{ params.destination }}",
        max_in_flight=2,
        poll_interval=0.5,
        allow_private_hosts=True,
    )
