"""DAGs of the tests about asset events: what makes generations, and what is scheduled on them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, get_current_context, task

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

COMMON = {"start_date": datetime(2026, 1, 1), "catchup": False}
PICTURE = {"model": "gemini-2.5-flash-image-preview", "poll_interval": 0.05}


@task
def told() -> list[dict[str, Any]]:
    """Return what the events tell that have started this run, in the order of the tasks that were mapped."""
    triggering = get_current_context()["triggering_asset_events"].values()
    events = [event for asset_events in triggering for event in asset_events]
    return [event.extra for event in sorted(events, key=lambda event: event.source_map_index)]


def consumer(dag_id: str, outlet: Asset | AssetAlias) -> None:
    """Define the DAG that is scheduled on an asset."""
    with DAG(dag_id=dag_id, schedule=[outlet], **COMMON) as dag:
        told()
    globals()[dag_id] = dag


with DAG(dag_id="lab_asset_waiting", schedule=None, **COMMON):
    ApimartImageGenerationOperator(task_id="generate", prompt="a cat", outlets=[Asset("lab_waiting")], **PICTURE)
consumer("lab_asset_waiting_consumer", Asset("lab_waiting"))

with DAG(dag_id="lab_asset_deferred", schedule=None, **COMMON):
    ApimartImageGenerationOperator(
        task_id="generate", prompt="a cat", deferrable=True, outlets=[Asset("lab_deferred")], **PICTURE
    )
consumer("lab_asset_deferred_consumer", Asset("lab_deferred"))

with DAG(dag_id="lab_asset_mapped", schedule=None, **COMMON):
    ApimartImageGenerationOperator.partial(task_id="generate", outlets=[Asset("lab_mapped")], **PICTURE).expand(
        prompt=["a cat", "a dog"]
    )
consumer("lab_asset_mapped_consumer", Asset("lab_mapped"))

with DAG(dag_id="lab_asset_sensor", schedule=None, **COMMON):
    submitted = ApimartImageGenerationOperator(task_id="generate", prompt="a cat", wait_for_completion=False, **PICTURE)
    ApimartGenerationSensor(
        task_id="wait", generation=submitted.output, poke_interval=0.05, outlets=[Asset("lab_sensor")]
    )
consumer("lab_asset_sensor_consumer", Asset("lab_sensor"))

# What is saved, as an asset that is known before and as one that isn't: all that a map has made, in one event.
with DAG(dag_id="lab_asset_saved", schedule=None, params={"destination": "pictures"}, **COMMON):
    generate = ApimartImageGenerationOperator.partial(task_id="generate", **PICTURE).expand(prompt=["a cat", "a dog"])
    ApimartToObjectStorageOperator(
        task_id="save",
        generation=generate.output,
        destination="{{ params.destination }}",
        outlets=[Asset("lab_saved"), AssetAlias("lab_places")],
    )
consumer("lab_asset_saved_consumer", Asset("lab_saved"))
consumer("lab_asset_places_consumer", AssetAlias("lab_places"))

# An alias stands for nothing where nothing is saved.
with DAG(dag_id="lab_asset_alias_alone", schedule=None, **COMMON):
    ApimartImageGenerationOperator(task_id="generate", prompt="a cat", outlets=[AssetAlias("lab_nothing")], **PICTURE)
