"""DAGs of the tests about the balance: a picture that is made only if the account can pay for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sensors.balance import ApimartBalanceSensor

for mode in ("poke", "reschedule"):
    for skips in (False, True):
        with DAG(
            dag_id=f"lab_balance_{mode}{'_skips' if skips else ''}",
            schedule=None,
            start_date=datetime(2026, 1, 1),
            catchup=False,
            default_args={"retries": 2, "retry_delay": timedelta(0)},
        ) as dag:
            afford = ApimartBalanceSensor(
                task_id="afford", required="{{ 0.05 * 2 }}", mode=mode, soft_fail=skips, timeout=1, poke_interval=0.2
            )
            afford >> ApimartImageGenerationOperator(
                task_id="generate", model="gemini-2.5-flash-image-preview", prompt="a cat", poll_interval=0.05
            )
        globals()[dag.dag_id] = dag
