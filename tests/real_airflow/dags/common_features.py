"""DAGs with features of every operator: prompts in files, default arguments, metrics."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator

with DAG(
    dag_id="prompt_file",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={"style": Param("woodcut", type="string")},
    default_args={
        "model": "gemini-3-pro-image-preview",
        "size": "16:9",
        "n": 1,
        "parameters": {"resolution": "1K"},
        "poll_interval": 0.1,
        "apimart_conn_id": "apimart_other",
    },
):
    ApimartImageGenerationOperator(task_id="generate", prompt="prompts/cat.txt")

with DAG(dag_id="refused", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):
    ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="[sandbox: moderation] a cat", poll_interval=0.1
    )
