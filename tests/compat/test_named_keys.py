"""Which keys of a task its DAG names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator, task

from airflow_provider_apimart.compat.xcom import keys_named_downstream


class Taker(BaseOperator):
    template_fields = ("value", "absent")

    def __init__(self, value: Any = None, other: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value
        self.other = other


def test_keys_are_found_wherever_a_reference_may_stand() -> None:
    @task
    def show(cost: float, *others: Any) -> None:
        """Take values."""

    with DAG("named", schedule=None, start_date=datetime(2026, 1, 1)):
        made, other = Taker(task_id="made"), Taker(task_id="other")
        Taker(task_id="plain", value=made.output["status"])
        Taker(task_id="nested", value={"a": [made.output["model"]], "b": (made.output,)})
        Taker.partial(task_id="mapped", value=made.output["usage"]).expand(other=[1])
        show(made.output["cost"])
        show.override(task_id="mapped_function").partial(cost=1).expand(others=[[1]])
        Taker(task_id="of_another", value=other.output["completed"])
    assert keys_named_downstream(made) == {
        "status",
        "model",
        "return_value",
        "usage",
        "cost",
    }


def test_a_task_without_a_dag_is_named_by_none() -> None:
    assert keys_named_downstream(Taker(task_id="alone")) == set()
