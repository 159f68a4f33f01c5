"""A picture that is made only if the account can pay for it; otherwise the run is skipped before it costs anything."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sensors.balance import ApimartBalanceSensor

with DAG(
    dag_id="example_apimart_balance",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "apimart"],
    doc_md=__doc__,
):
    # [START howto_sensor_apimart_balance]
    afford = ApimartBalanceSensor(
        task_id="afford",
        required=5,
        # Look once. To wait for someone who tops the balance up: mode="reschedule", and as long as that may take.
        timeout=0,
        # Skip what comes after, instead of failing.
        soft_fail=True,
    )
    # [END howto_sensor_apimart_balance]
    afford >> ApimartImageGenerationOperator(
        task_id="generate", model="gemini-3-pro-image-preview", prompt="A shop window at Christmas, gouache"
    )
