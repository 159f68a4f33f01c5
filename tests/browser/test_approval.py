"""A person in the loop: the page of the approval task, and what the person's answer costs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import lacks, needs
from tests.browser.pictures import fetched, looks_like, shown
from tests.browser.screenshots import keep
from tests.lab.airflow_server import AirflowServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

DAG_ID = "example_apimart_approval"
ASKING = "deferred" if lacks("AWAITING_INPUT state") else "awaiting_input"


@pytest.fixture
def run_id(airflow: AirflowServer, sandbox: Sandbox, page: Page) -> str:
    """Open the page of the approval task of a new run."""
    run_id = airflow.trigger(DAG_ID)
    airflow.wait_for(DAG_ID, run_id, draw="success", approve=ASKING)
    page.goto(f"{airflow.base_url}/dags/{DAG_ID}/runs/{run_id}/tasks/approve/required_actions")
    return run_id


def test_approving_the_picture_on_the_page_makes_the_clip(
    airflow: AirflowServer, sandbox: Sandbox, page: Page, run_id: str
) -> None:
    (drawn,) = sandbox.generations
    assert looks_like(shown(page.get_by_alt_text("The picture")), fetched(drawn.urls[0]))
    keep("approval", page.locator("body"))

    page.get_by_role("button", name="Approve").click()

    airflow.wait_for(DAG_ID, run_id, approve="success", film="success")
    _, filmed = sandbox.generations
    assert filmed.payload["image_urls"] == list(drawn.urls)
    assert (sandbox.accepted, sandbox.billed) == (2, 2)


def test_rejecting_the_picture_on_the_page_costs_nothing_more(
    airflow: AirflowServer, sandbox: Sandbox, page: Page, run_id: str
) -> None:
    page.get_by_role("button", name="Reject").click()

    airflow.wait_for(DAG_ID, run_id, approve="success", film="skipped")
    assert (sandbox.accepted, sandbox.billed) == (1, 1)


def test_a_quote_above_the_limit_asks_a_person(
    airflow: AirflowServer, sandbox: Sandbox, page: Page, tmp_path: Path
) -> None:
    dag_id = "example_apimart_quote"
    run_id = airflow.trigger(dag_id, {"limit": 0.2, "destination": tmp_path.as_uri()})
    airflow.wait_for(dag_id, run_id, quote="success", approve=ASKING)
    page.goto(f"{airflow.base_url}/dags/{dag_id}/runs/{run_id}/tasks/approve/required_actions")
    page.get_by_text("Quote: $0.275, certainty exact").wait_for()
    assert page.get_by_text("Images requested: 3").is_visible()
    keep("quote", page.locator("body"))
    assert sandbox.accepted == 0

    page.get_by_role("button", name="Approve").click()

    airflow.wait_for(dag_id, run_id, approve="success", images="success")
    assert (sandbox.billed, sandbox.dollars) == (3, Decimal("0.275"))


@needs("links in the text of an approval")
def test_a_click_on_the_picture_opens_the_whole(sandbox: Sandbox, page: Page, run_id: str) -> None:
    with page.expect_popup() as opened:
        page.get_by_alt_text("The picture").click()
    assert opened.value.url == sandbox.generations[0].urls[0]
