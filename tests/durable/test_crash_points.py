from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import lacks
from tests.durable.crash_sweep import Scenario, Then, all_scenarios, crash_and_go_on, documented_cell
from tests.lab import AirflowLab

# The short form of `make sweep`: where a crash is most dangerous, in each mode, with each way to go on.
SHORT = [
    Scenario("POST sent", deferrable=False, mapped=False),
    Scenario("POST sent", deferrable=False, mapped=False, in_files=True, ignores_key=True),
    Scenario("before the id is written", deferrable=True, mapped=False, in_files=True),
    Scenario("id written", deferrable=False, mapped=True, in_files=True),
    Scenario("event ready", deferrable=True, mapped=True),
    Scenario("success stored", deferrable=True, mapped=False, in_files=True),
    Scenario("upload registered", deferrable=False, mapped=False, references=True, in_files=True),
    Scenario("POST sent", deferrable=False, mapped=False, references=True, in_files=True),
    Scenario("POST sent", deferrable=False, mapped=False, then=Then.CLEARED_FAILED, in_files=True),
    Scenario("result half in XCom", deferrable=True, mapped=True, then=Then.CLEARED_FAILED, in_files=True),
    Scenario("result in XCom", deferrable=False, mapped=False, then=Then.CLEARED_FAILED),
    Scenario("before the id is written", deferrable=True, mapped=True, then=Then.CLEARED_DEFERRED, in_files=True),
    Scenario("deferral written", deferrable=True, mapped=False, then=Then.CLEARED_DEFERRED, in_files=True),
    Scenario("POST sent", deferrable=True, mapped=False, then=Then.CLEARED_TIMED_OUT, in_files=True),
    Scenario("id written", deferrable=False, mapped=False, then=Then.CLEARED_TIMED_OUT, in_files=True),
]


@pytest.mark.parametrize(
    "scenario", SHORT, ids=lambda scenario: f"{scenario.point}-{scenario.dag_id}-{scenario.then}-{scenario.in_files}"
)
def test_a_crash_is_billed_once_and_the_result_delivered(lab_on_every_version: AirflowLab, scenario: Scenario) -> None:
    if lacks("state store"):
        scenario = replace(scenario, in_files=True)
    outcome = crash_and_go_on(lab_on_every_version, scenario)
    assert outcome.holds, outcome
    assert outcome.cell == documented_cell(scenario)


def test_the_sweep_covers_every_mode() -> None:
    scenarios = list(all_scenarios())
    ways = {(scenario.deferrable, scenario.mapped, scenario.then) for scenario in scenarios}
    assert ways == {
        (deferrable, mapped, then)
        for deferrable, mapped, then in product((False, True), (False, True), Then)
        if deferrable or then is not Then.CLEARED_DEFERRED
    }
    assert {replace(scenario, in_files=True) for scenario in SHORT} <= set(all_scenarios(in_files=True))


def test_the_count_would_show_a_double_charge(lab: AirflowLab, sandbox: Sandbox) -> None:
    """Where the service ignores the key, a crash before the id is known is charged twice, and the count says so."""
    sandbox.configure(ignore_idempotency=True)
    run = lab.start_run("lab_single_waiting")
    assert not run.drive(sandbox.connection_json(), crash="before the id is written")
    run.recover()
    assert run.drive(sandbox.connection_json())
    assert sandbox.billed == 2


@pytest.mark.parametrize("point", ["id written", "status read", "result in XCom"])
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
