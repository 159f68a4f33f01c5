"""What tasks return, on the versions that can't hold every value."""

from __future__ import annotations

from airflow_provider_apimart.compat.xcom import returnable
from tests.airflow_versions import running


def test_only_airflow_3_0_misses_what_is_none() -> None:
    outputs = {"url": None, "cost": 0, "urls": [], "result": {"text": None}}
    kept = {key: value for key, value in outputs.items() if key != "url"}
    assert returnable(outputs) == (kept if running == (3, 0) else outputs)
