"""A DAG that makes nothing unless the account can pay for it, in a real Airflow."""

from __future__ import annotations

import json

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.lab import AirflowLab

MODES = ("poke", "reschedule")


def connection(sandbox: Sandbox, key: str) -> str:
    return json.dumps(json.loads(sandbox.connection_json()) | {"password": key})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("suffix", "states"), [("", ("failed", "upstream_failed")), ("_skips", ("skipped", "skipped"))]
)
def test_nothing_is_made_with_an_empty_balance(
    lab: AirflowLab, sandbox: Sandbox, mode: str, suffix: str, states: tuple[str, str]
) -> None:
    run = lab.start_run(f"lab_balance_{mode}{suffix}", {})
    assert run.drive(connection(sandbox, "sk-sandbox-empty"))
    assert (run.view("afford").state, run.view("generate").state) == states
    assert run.view("afford").try_number == 1
    assert (sandbox.accepted, sandbox.billed) == (0, 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("key", "remaining"), [("sk-sandbox-key", 100), ("sk-sandbox-unlimited", None)])
def test_a_connection_that_can_pay_goes_on_and_logs_the_balance(
    lab: AirflowLab, sandbox: Sandbox, mode: str, key: str, remaining: float | None
) -> None:
    run = lab.start_run(f"lab_balance_{mode}", {})
    assert run.drive(connection(sandbox, key))
    assert run.view("afford").returned["remaining"] == remaining
    assert run.view("generate").state == "success"
    assert sandbox.billed == 1
