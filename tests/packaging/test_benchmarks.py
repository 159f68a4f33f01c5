"""The processes of the benchmarks, with a few items: a benchmark takes minutes until it says that it can't start."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from benchmarks import batches, rate_limit, resumption
from tests.airflow_versions import running

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(running < (3, 3), reason="what is measured is measured on Airflow 3.3"),
]


def test_the_batch_under_a_rate_limit() -> None:
    with Sandbox() as sandbox:
        rate_limit.run_batch(sandbox, items=3, in_flight=2)
        assert sandbox.billed == 3


def test_the_large_batch(capsys: pytest.CaptureFixture[str]) -> None:
    batches.memory(batches.Size(items=1, in_flight=1, mapped=1, large=3, rounds=1))
    assert "3 items" in capsys.readouterr().out


def test_the_batch_whose_items_are_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"AIRFLOW__APIMART__LEDGER_PATH": tmp_path.as_uri(), "AIRFLOW_HOME": str(tmp_path)}
    resumption.measure("local", 3, variables)
    assert "finds all finished" in capsys.readouterr().out
