"""Generate music, wait for it in the triggerer, and save the tracks."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_apimart.operators.generation import ApimartMusicGenerationOperator
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

with DAG(
    dag_id="example_apimart_music",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    params={"destination": Param("file:///tmp/apimart", type="string")},
    doc_md=__doc__,
):
    music = ApimartMusicGenerationOperator(
        task_id="music",
        model="suno",
        prompt="A slow waltz for two cellos",
        title="Evening waltz",
        instrumental=True,
        parameters={"version": "v6"},
        deferrable=True,
        retries=2,
    )
    ApimartToObjectStorageOperator(task_id="save", generation=music.output, destination="{{ params.destination }}")
