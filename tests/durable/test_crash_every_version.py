"""
The crash sweep on every version of Airflow: retries and clears of the operator with its record in files.

Each try is a process of its own, which is killed with SIGKILL. It has no Airflow around it but what the operator is
given: ``ti.try_number`` and ``ti.max_tries`` as scheduler and clears set them, and no XCom of the try before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import PROCESSES, task_context
from tests.batch.support import run_trigger
from tests.durable.crash_sweep import Scenario, Then, all_scenarios
from tests.lab.crash_points import install

RETRIES = 3
_LONGEST = 120.0
# Where a crash is most dangerous, of the points that aren't in Airflow's task runner or in the lab.
POINTS = (
    "record written",
    "POST sent",
    "before the id is written",
    "id written",
    "resuming",
    "returning",
)
SCENARIOS = [
    scenario
    for scenario in all_scenarios(in_files=True)
    if scenario.point in POINTS and not (scenario.mapped or scenario.references or scenario.ignores_key)
]


@dataclass
class Instance:
    """
    A task instance over its tries.

    :param impatient: Whether its timeout passes before the generation ends.
    :param result: File for what a try returns.
    """

    deferrable: bool
    impatient: bool
    result: Path
    try_number: int = 1
    max_tries: int = RETRIES

    def run(self, *, crash: str | None = None, stays_deferred: bool = False) -> str:
        """Run a try in a process of its own, and return the state of the task: ``killed`` if a signal ended it."""
        self.result.unlink(missing_ok=True)
        # Forked from a process without threads: a fork of this one may wait for a lock that nobody holds any more.
        process = PROCESSES.Process(target=_run, args=(self, _environment(), crash, stays_deferred))
        process.start()
        process.join(_LONGEST)
        if process.exitcode is None:
            process.kill()
            raise AssertionError("a try didn't end")
        if process.exitcode < 0:
            return "killed"
        return self.returned["state"] if process.exitcode == 0 else "failed"

    @property
    def returned(self) -> dict[str, Any]:
        """What the last try has returned."""
        said: dict[str, Any] = json.loads(self.result.read_text())
        return said

    def retry(self) -> None:
        """Let the next try be due."""
        self.try_number += 1

    def clear(self) -> None:
        """Clear the task, as every version does it."""
        self.max_tries = self.try_number + RETRIES
        self.try_number += 1

    def attempt(self, crash: str | None, stays_deferred: bool) -> None:
        """Run a try in this process."""
        install(crash)
        context = task_context(self.try_number, self.max_tries)
        task = ApimartImageGenerationOperator(
            task_id="generate",
            model="gemini-2.5-flash-image-preview",
            prompt="a cat",
            deferrable=self.deferrable,
            poll_interval=0.05,
            timeout=timedelta(milliseconds=200) if self.impatient else None,
        )
        try:
            returned = task.execute(context)
        except TaskDeferred as deferral:
            if stays_deferred:
                returned = {"state": "deferred"}
            else:
                returned = task.execute_complete(context, run_trigger(deferral.trigger))
        self.result.write_text(json.dumps({"state": "success", **returned}))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW")}


def _run(instance: Instance, environment: Mapping[str, str], crash: str | None, stays_deferred: bool) -> None:
    os.environ.update(environment)
    instance.attempt(crash, stays_deferred)


def go_on(instance: Instance, then: Then) -> str:
    """Bring the task into the state from which it goes on, and return that state."""
    state = "killed"
    match then:
        case Then.RETRIED:
            instance.retry()
            return state
        case Then.CLEARED_DEFERRED:
            instance.retry()
            state = instance.run(stays_deferred=True)
        case Then.CLEARED_TIMED_OUT:
            instance.retry()
            state = instance.run()
    instance.clear()
    return state


STATES = {
    Then.RETRIED: "killed",
    Then.CLEARED_FAILED: "killed",
    Then.CLEARED_DEFERRED: "deferred",
    Then.CLEARED_TIMED_OUT: "failed",
}


def crash_and_go_on(sandbox: Sandbox, scenario: Scenario, folder: Path) -> Instance:
    """Let a task be killed, do what scheduler and people do then, and run it to its end."""
    sandbox.configure(seconds=0.3 if scenario.ends_by_itself else 3600.0)
    instance = Instance(scenario.deferrable, scenario.then is Then.CLEARED_TIMED_OUT, folder / "returned.json")
    assert instance.run(crash=scenario.point) == "killed"
    assert go_on(instance, scenario.then) == STATES[scenario.then]
    sandbox.complete_all()
    sandbox.configure(seconds=0.3)
    assert instance.run() == "success"
    return instance


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())


@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda each: f"{each.point}-{'deferred' if each.deferrable else 'waiting'}-{each.then}"
)
def test_a_crash_is_billed_once_and_the_result_delivered(sandbox: Sandbox, tmp_path: Path, scenario: Scenario) -> None:
    instance = crash_and_go_on(sandbox, scenario, tmp_path)
    assert instance.returned["status"] == "completed"
    assert (sandbox.accepted, sandbox.billed) == (1, 1)


@pytest.mark.parametrize("then", Then)
def test_after_the_id_is_known_even_a_service_that_ignores_the_key_bills_once(
    sandbox: Sandbox, tmp_path: Path, then: Then
) -> None:
    """The record alone protects then; without it this would be billed twice."""
    sandbox.configure(ignore_idempotency=True)
    crash_and_go_on(sandbox, Scenario("id written", deferrable=True, mapped=False, then=then, in_files=True), tmp_path)
    assert (sandbox.accepted, sandbox.billed) == (1, 1)
