"""The balance sensor with the sandbox and without a running Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.exceptions import (
    ApimartAuthenticationError,
    ApimartError,
    ApimartInvalidRequestError,
    ApimartServerError,
)
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.balance import ApimartBalanceSensor

EMPTY, UNLIMITED = "sk-sandbox-empty", "sk-sandbox-unlimited"
TROUBLES: list[tuple[str, int, type[ApimartError]]] = [
    ("unauthorized", 1, ApimartAuthenticationError),
    ("bad_gateway", 99, ApimartServerError),
]


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApimartHook, "status_policy", RetryPolicy(max_requests=3, first=0.01, longest=0.01))
    for conn_id, key in (("default", sandbox.api_key), ("empty", EMPTY), ("unlimited", UNLIMITED)):
        described = json.loads(sandbox.connection_json()) | {"password": key}
        monkeypatch.setenv(f"AIRFLOW_CONN_APIMART_{conn_id.upper()}", json.dumps(described))


def balance(required: Any, conn_id: str = "apimart_default", **arguments: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"timeout": 0} | arguments
    sensor = ApimartBalanceSensor(task_id="afford", required=required, apimart_conn_id=conn_id, **settings)
    return sensor.execute({})


@pytest.mark.parametrize("required", [0, 0.05, "99.99", 100])
def test_what_the_account_can_pay_for_succeeds_and_returns_the_balance(required: Any) -> None:
    assert balance(required) == {"remaining": 100, "used": 0, "unlimited": False}


@pytest.mark.parametrize("required", [100.01, "1e3"])
def test_a_cent_too_few_is_too_few(required: Any) -> None:
    with pytest.raises(AirflowSensorTimeout, match=r"apimart_default.*Top up the balance"):
        balance(required)


def test_a_key_without_a_limit_can_always_pay() -> None:
    returned = balance(1_000_000, "apimart_unlimited")
    assert (returned.get("remaining"), returned["unlimited"]) == (None, True)


def test_a_key_without_balance_stops_or_skips() -> None:
    with pytest.raises(AirflowSensorTimeout):
        balance(0.01, "apimart_empty")
    with pytest.raises(AirflowSkipException):
        balance(0.01, "apimart_empty", soft_fail=True)


def test_it_waits_for_a_balance_that_is_topped_up(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("insufficient_balance", on="balance", times=2))
    assert balance(1, timeout=60, poke_interval=0.01)["remaining"] == 100
    assert [request.route for request in sandbox.requests] == ["balance"] * 3


def test_being_asked_to_slow_down_is_no_trouble(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("rate_limited", on="balance", times=2))
    assert balance(1, timeout=60, poke_interval=0.01)["remaining"] == 100


@pytest.mark.parametrize(("kind", "times", "error"), TROUBLES)
def test_trouble_is_raised_as_what_it_is(sandbox: Sandbox, kind: str, times: int, error: type[ApimartError]) -> None:
    sandbox.inject(Fault(kind, on="balance", times=times))
    with pytest.raises(error):
        balance(1)


@pytest.mark.parametrize(("kind", "times", "error"), TROUBLES)
@pytest.mark.parametrize("leniency", ["soft_fail", "never_fail"])
def test_trouble_skips_where_that_is_asked_for(
    sandbox: Sandbox, kind: str, times: int, error: type[ApimartError], leniency: str
) -> None:
    sandbox.inject(Fault(kind, on="balance", times=times))
    with pytest.raises(AirflowSkipException):
        balance(1, **dict[str, Any]({leniency: True}))


def test_a_blip_is_survived(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("bad_gateway", on="balance", times=2))
    assert balance(1)["remaining"] == 100


@pytest.mark.parametrize("required", ["", "five", None, True, -1, "nan", "inf"])
def test_what_is_no_amount_is_refused_before_any_call(sandbox: Sandbox, required: Any) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="required must be an amount in US dollars"):
        balance(required)
    assert sandbox.requests == ()


def test_the_amount_and_the_connection_are_templated() -> None:
    assert set(ApimartBalanceSensor.template_fields) == {"required", "apimart_conn_id"}
