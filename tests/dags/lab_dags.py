"""DAGs of the tests: one generation, waiting or deferred, mapped or not; and what people do with it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, Param

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.operators.upload import ApimartUploadImageOperator
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator

# The impatient ones fail by their time-out in the second try.
for deferrable, mapped, impatient in product((False, True), repeat=3):
    name = f"lab_{'mapped' if mapped else 'single'}_{'deferred' if deferrable else 'waiting'}"
    with DAG(
        dag_id=f"{name}_impatient" if impatient else name,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        params={
            "prompt": Param("a cat", type="string"),
        },
        default_args={"retries": 1 if impatient else 3, "retry_delay": timedelta(0)},
    ) as dag:
        arguments: dict[str, Any] = {
            "task_id": "generate",
            "model": "gemini-2.5-flash-image-preview",
            "deferrable": deferrable,
            "poll_interval": 0.05,
        }
        if impatient:
            arguments["timeout"] = timedelta(milliseconds=200)
        if mapped:
            ApimartImageGenerationOperator.partial(**arguments).expand(
                prompt=["{{ params.prompt }} one", "{{ params.prompt }} two"]
            )
        else:
            ApimartImageGenerationOperator(prompt="{{ params.prompt }}", **arguments)
    globals()[dag.dag_id] = dag

# Files as references: text, object and path, templated, two of them of the same content.
for name in ("waiting", "deferred", "mapped"):
    with DAG(
        dag_id=f"lab_references_{name}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        params={each: Param("", type="string") for each in ("reference", "same", "other")},
        default_args={"retries": 3, "retry_delay": timedelta(0)},
    ) as dag:
        arguments = {
            "task_id": "generate",
            "model": "gemini-2.5-flash-image-preview",
            "image_urls": [
                "{{ params.reference }}",
                {"url": "file://{{ params.same }}"},
                ObjectStoragePath("file:///{{ params.other.lstrip('/') }}"),
            ],
            "upload_references": True,
            "deferrable": name == "deferred",
            "poll_interval": 0.05,
        }
        if name == "mapped":
            ApimartImageGenerationOperator.partial(**arguments).expand(prompt=["a cat", "a dog"])
        else:
            ApimartImageGenerationOperator(prompt="a cat", **arguments)
    globals()[dag.dag_id] = dag

with DAG(
    dag_id="lab_single_unrepeated",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": timedelta(0)},
):
    ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        prompt="a cat",
        poll_interval=0.05,
        on_unknown_outcome="fail",
    )

# The input changes between two tries, as that of a mapped task does whose list was reordered.
with DAG(
    dag_id="lab_changing_input",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    user_defined_macros={"prompt_of_this_try": lambda: os.environ["LAB_PROMPT"]},
    default_args={"retries": 3, "retry_delay": timedelta(0)},
):
    ApimartImageGenerationOperator(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        prompt="{{ prompt_of_this_try() }}",
        poll_interval=0.05,
    )

for deferrable in (False, True):
    with DAG(
        dag_id=f"lab_impatient_{'deferred' if deferrable else 'waiting'}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        catchup=False,
        default_args={"retries": 30, "retry_delay": timedelta(0)},
    ) as dag:
        ApimartImageGenerationOperator(
            task_id="generate",
            model="gemini-2.5-flash-image-preview",
            prompt="a cat",
            deferrable=deferrable,
            poll_interval=0.05,
            timeout=timedelta(milliseconds=200),
        )
    globals()[dag.dag_id] = dag

# The upload page's workflow, with the sensor in each of its modes.
for mode in ("poke", "reschedule", "deferred"):
    for skips in (False, True):
        with DAG(
            dag_id=f"lab_sensor_{mode}{'_skips' if skips else ''}",
            schedule=None,
            start_date=datetime(2026, 1, 1),
            catchup=False,
            params={
                "reference": Param("reference.png", type="string"),
                "destination": Param("pictures", type="string"),
                "prompt": Param("Ghibli style", type="string"),
            },
        ) as dag:
            upload = ApimartUploadImageOperator(task_id="upload", image="{{ params.reference }}")
            generate = ApimartImageGenerationOperator(
                task_id="generate",
                model="gemini-3-pro-image-preview",
                prompt="{{ params.prompt }}",
                image_urls=[upload.output],
                size="16:9",
                wait_for_completion=False,
            )
            wait = ApimartGenerationSensor(
                task_id="wait",
                generation=generate.output,
                mode="reschedule" if mode == "reschedule" else "poke",
                deferrable=mode == "deferred",
                poke_interval=0.1,
                timeout=3,
                soft_fail=skips,
                retries=2,
                retry_delay=timedelta(0),
            )
            ApimartToObjectStorageOperator(
                task_id="save", generation=wait.output, destination="{{ params.destination }}"
            )
        globals()[dag.dag_id] = dag
