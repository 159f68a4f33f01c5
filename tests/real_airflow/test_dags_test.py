"""
Retries, failures and crashes under Airflow's own ``airflow dags test``, which every version has.

A killed command is repeated for the same logical date. That makes the same run anew without anything that Airflow
stored; the provider's own record is still in its files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.airflow_versions import running
from tests.lab.airflow_command import Airflow
from tests.lab.references import write_references
from tests.real_airflow.dag_test import DagTest


@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred"])
def test_a_failed_generation_is_submitted_again_by_the_retry(airflow: Airflow, sandbox: Sandbox, dag_id: str) -> None:
    run = DagTest(airflow, sandbox, dag_id, "2026-02-02")
    assert run.run({"prompt": "[sandbox: fail once]"}) == 0, run.log[-6000:]
    assert (sandbox.accepted, sandbox.billed) == (2, 1)
    first, second = sandbox.generations
    assert first.idempotency_key != second.idempotency_key


@pytest.mark.skipif(running >= (3, 0), reason="from Airflow 3.0 on, each `airflow dags test` makes a run of its own")
@pytest.mark.parametrize("dag_id", ["lab_single_waiting", "lab_single_deferred", "lab_mapped_waiting"])
def test_a_crash_after_the_submit_is_billed_once(airflow: Airflow, sandbox: Sandbox, dag_id: str) -> None:
    run = DagTest(airflow, sandbox, dag_id, "2026-02-01")
    assert run.run(crash="POST sent") == -9
    assert sandbox.accepted == 1

    assert run.run() == 0, run.log[-6000:]

    expected = 2 if "mapped" in dag_id else 1
    assert (sandbox.accepted, sandbox.billed) == (expected, expected)
    assert all(generation.status == "completed" for generation in sandbox.generations)


def test_faults_on_every_route_are_billed_once(airflow: Airflow, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("lost_answer", times=2), Fault("bad_gateway", on="status", times=3))
    run = DagTest(airflow, sandbox, "lab_single_deferred", "2026-02-03")
    assert run.run() == 0, run.log[-6000:]
    assert (sandbox.accepted, sandbox.billed) == (1, 1)


def test_files_as_references_are_uploaded_and_billed_once(airflow: Airflow, sandbox: Sandbox, tmp_path: Path) -> None:
    run = DagTest(airflow, sandbox, "lab_references_waiting", "2026-02-04")
    assert run.run(write_references(tmp_path)) == 0, run.log[-6000:]
    assert (sandbox.billed, sandbox.uploaded) == (1, 2)
