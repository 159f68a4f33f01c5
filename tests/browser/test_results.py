"""Results of a task in Airflow's interface: the link, and the URLs in XCom."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import needs
from tests.browser.pictures import fetched, looks_like, shown
from tests.browser.screenshots import keep
from tests.lab.airflow_server import AirflowServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DAG_ID = "example_apimart_text_to_image"


@pytest.fixture
def task(airflow: AirflowServer, sandbox: Sandbox) -> str:
    """Run a task that makes pictures, and return the URL of its page."""
    run_id = airflow.trigger(DAG_ID)
    airflow.wait_for(DAG_ID, run_id, generate="success")
    return f"{airflow.base_url}/dags/{DAG_ID}/runs/{run_id}/tasks/generate"


def opens_a_picture(link: Locator, sandbox: Sandbox, modifiers: Sequence[Literal["Control"]] | None = None) -> bool:
    """Whether a link opens a picture of the only generation."""
    with link.page.expect_popup() as opened:
        # At its beginning: the centre of a link that is broken over two lines may be on another one.
        link.click(modifiers=modifiers, position={"x": 4, "y": 4})
    (generation,) = sandbox.generations
    assert opened.value.url in generation.urls
    return looks_like(shown(opened.value.locator("img")), fetched(opened.value.url))


def row_of(page: Page, key: str) -> Locator:
    """Return the row of a value in XCom."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=key, exact=True))


def test_the_link_of_the_task_opens_all_results(page: Page, task: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 480})
    page.goto(f"{task}/details")
    link = page.get_by_role("link", name="APIMart generation")
    link.wait_for()
    keep("generation_link", page.locator("body"))
    assert unquote(link.get_attribute("href") or "") == f"{task}/xcom"
    # Airflow opens a page of its own in the same tab.
    page.goto(f"{task}/xcom")
    row_of(page, "urls").wait_for()


@needs("clickable URLs in XCom")
def test_the_urls_in_xcom_can_be_clicked(sandbox: Sandbox, page: Page, task: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.goto(f"{task}/xcom")
    assert opens_a_picture(row_of(page, "url").get_by_role("link"), sandbox)


@needs("clickable URLs in XCom")
def test_the_urls_in_a_list_in_xcom_can_be_clicked_with_ctrl(sandbox: Sandbox, page: Page, task: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 1400})
    page.goto(f"{task}/xcom")
    page.get_by_role("button", name="Expand all extra JSON").click()
    # Any of them: the order of an editor's lines in the document isn't the order in which they are shown.
    link = row_of(page, "urls").locator(".detected-link").first
    assert opens_a_picture(link, sandbox, modifiers=["Control"])
    page.mouse.move(0, 0)
    keep("xcom", *map(partial(row_of, page), ("generation_id", "url", "urls")))
