"""A person in the loop: what their answer, or none, costs. What they see is tested in :mod:`tests.browser`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import needs
from tests.lab import AirflowLab, Run

pytestmark = [needs("AWAITING_INPUT state"), pytest.mark.long]
DAG_ID = "example_apimart_approval"


@pytest.fixture
def run(lab: AirflowLab, sandbox: Sandbox) -> Run:
    """Run the example until it waits for a person."""
    run = lab.start_run(DAG_ID, {"prompt": "a paper boat"})
    assert run.drive(sandbox.connection_json())
    assert run.view("approve").state == "awaiting_input"
    assert (sandbox.accepted, sandbox.billed) == (1, 1)
    return run


def test_an_approved_picture_becomes_a_video(lab: AirflowLab, sandbox: Sandbox, run: Run) -> None:
    run.answer("approve", "Approve")
    assert run.drive(sandbox.connection_json())
    drawn, filmed = sandbox.generations
    assert run.view("film").returned["generation_id"] == filmed.generation_id
    assert filmed.payload["image_urls"] == list(drawn.urls)
    assert (sandbox.accepted, sandbox.billed) == (2, 2)


@pytest.mark.parametrize("answered", [True, False])
def test_a_rejected_picture_and_one_that_nobody_answers_for_cost_nothing_more(
    lab: AirflowLab, sandbox: Sandbox, run: Run, answered: bool
) -> None:
    if answered:
        run.answer("approve", "Reject")
    else:
        run.leave_unanswered("approve")
    assert run.drive(sandbox.connection_json())
    assert run.view("approve").state == "success"
    assert run.view("film").state == "skipped"
    assert (sandbox.accepted, sandbox.billed) == (1, 1)


@pytest.fixture
def quoted(lab: AirflowLab, sandbox: Sandbox, tmp_path: Path) -> Run:
    """Run the example that quotes a batch above the limit until it waits for a person."""
    conf = {"limit": 0.2, "destination": tmp_path.as_uri()}
    run = lab.start_run("example_apimart_quote", conf)
    assert run.drive(sandbox.connection_json())
    assert run.view("approve").state == "awaiting_input"
    assert sandbox.accepted == 0
    return run


def test_an_approved_quote_is_paid(lab: AirflowLab, sandbox: Sandbox, quoted: Run) -> None:
    quoted.answer("approve", "Approve")
    assert quoted.drive(sandbox.connection_json())
    assert quoted.view("images").state == "success"
    assert (sandbox.accepted, sandbox.dollars) == (3, Decimal("0.275"))


def test_a_rejected_quote_costs_nothing(lab: AirflowLab, sandbox: Sandbox, quoted: Run) -> None:
    quoted.answer("approve", "Reject")
    assert quoted.drive(sandbox.connection_json())
    assert quoted.view("images").state == "skipped"
    assert sandbox.accepted == 0
