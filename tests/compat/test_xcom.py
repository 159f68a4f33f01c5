"""Return values of tasks on versions that refuse some values."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.transfers.selection import selected_generations
from tests.airflow_versions import running

OUTPUTS: dict[str, Any] = {"url": None, "cost": 0, "urls": [], "result": {"text": None}}
KEPT = {"cost": 0, "urls": [], "result": {"text": None}}


@pytest.mark.parametrize(("version", "returned"), [("3.0.6", KEPT), ("2.11.2", OUTPUTS), ("3.1.0", OUTPUTS)])
def test_only_none_is_left_out(monkeypatch: pytest.MonkeyPatch, version: str, returned: object) -> None:
    monkeypatch.setattr("airflow.__version__", version)
    assert returnable(OUTPUTS) == returned


def test_only_airflow_3_0_refuses_none() -> None:
    assert (returnable(OUTPUTS) == KEPT) is (running == (3, 0))


def test_what_is_left_of_outputs_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.__version__", "3.0.6")
    generation = Generation("task_1", GenerationStatus.COMPLETED, "completed")
    assert generation_from_xcom(returnable(generation.to_xcom())) == generation
    (selected,) = selected_generations(returnable(generation.to_xcom()))
    assert selected.generation == generation
    assert list(selected_generations(returnable({"items": 0, "ledger": None}))) == []
