from __future__ import annotations

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import lacks, needs, reason
from tests.durable.crash_sweep import Scenario, all_scenarios, crash_and_retry
from tests.lab import AirflowLab

# The short form of `make sweep`: where a crash is most dangerous, in each mode.
SHORT = [
    Scenario("POST sent", deferrable=False, mapped=False),
    Scenario("before the id is written", deferrable=True, mapped=False),
    Scenario("id written", deferrable=False, mapped=True),
    Scenario("event ready", deferrable=True, mapped=True),
    Scenario("delivery noted", deferrable=True, mapped=False),
    Scenario("upload registered", deferrable=False, mapped=False, references=True),
    Scenario("POST sent", deferrable=False, mapped=False, references=True),
]


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: f"{scenario.point}-{scenario.dag_id}")
def test_a_crash_is_billed_once_and_the_result_delivered(lab: AirflowLab, scenario: Scenario) -> None:
    if scenario.references and lacks("state store"):
        pytest.skip(reason("state store"))
    outcome = crash_and_retry(lab, scenario)
    assert outcome.holds, outcome


def test_the_sweep_covers_every_mode() -> None:
    scenarios = list(all_scenarios())
    assert {(scenario.deferrable, scenario.mapped) for scenario in scenarios} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }
    assert set(SHORT) <= set(scenarios)


def test_the_count_would_show_a_double_charge(lab: AirflowLab, sandbox: Sandbox) -> None:
    """Where the service ignores the key, a crash before the id is known is charged twice, and the count says so."""
    sandbox.configure(ignore_idempotency=True)
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="before the id is written")
    run.recover()
    assert run.drive(sandbox.connection_json())
    assert sandbox.billed == 2


@needs("state store")
@pytest.mark.parametrize("point", ["id written", "looking", "before the delivery is noted"])
def test_after_the_id_is_known_even_a_service_that_ignores_the_key_bills_once(
    lab: AirflowLab, sandbox: Sandbox, point: str
) -> None:
    sandbox.configure(ignore_idempotency=True)
    run = lab.start_run("lab_single_deferred")
    assert not run.drive(sandbox.connection_json(), crash=point)
    run.recover()
    assert run.drive(sandbox.connection_json())
    assert sandbox.billed == 1
    assert run.view("generate").returned["status"] == "completed"
