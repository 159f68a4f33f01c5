"""A person in the loop: the page of the approval task, and what the person's answer costs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from PIL import Image, ImageChops, ImageStat

from airflow_provider_apimart.sandbox import Sandbox
from tests.browser.airflow_server import AirflowServer
from tests.lab.airflow_lab import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DAG_ID = "example_apimart_approval"
SCREENSHOTS = PROJECT / ".browser"


@pytest.fixture
def run_id(airflow: AirflowServer, sandbox: Sandbox, page: Page) -> str:
    """Open the page of the approval task of a new run."""
    run_id = airflow.trigger(DAG_ID)
    airflow.wait_for(DAG_ID, run_id, draw="success", approve="awaiting_input")
    # The first visit logs in, from where not every version of Airflow leads on to the page that was asked for.
    page.goto(airflow.base_url)
    page.get_by_role("link", name="Home").first.wait_for()
    page.goto(f"{airflow.base_url}/dags/{DAG_ID}/runs/{run_id}/tasks/approve/required_actions")
    return run_id


def looks_like(shown: Image.Image, made: Image.Image) -> bool:
    """Whether a picture on a page is the picture that was made, but for its size."""
    difference = ImageChops.difference(shown.convert("RGB"), made.convert("RGB").resize(shown.size))
    return max(ImageStat.Stat(difference).mean) < 6


def shown(picture: Locator) -> Image.Image:
    """Return what the page shows in the place of a picture, once the picture is loaded."""
    picture.wait_for()
    picture.page.wait_for_function(
        "picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle()
    )
    return Image.open(io.BytesIO(picture.screenshot()))


def fetched(url: str) -> Image.Image:
    with urlopen(url) as reply:
        return Image.open(io.BytesIO(reply.read()))


def test_approving_the_picture_on_the_page_makes_the_clip(
    airflow: AirflowServer, sandbox: Sandbox, page: Page, run_id: str
) -> None:
    (drawn,) = sandbox.generations
    assert looks_like(shown(page.get_by_alt_text("The picture")), fetched(drawn.urls[0]))
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "approval.png")

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


def test_a_click_on_the_picture_opens_the_whole(sandbox: Sandbox, page: Page, run_id: str) -> None:
    with page.expect_popup() as opened:
        page.get_by_alt_text("The picture").click()
    assert opened.value.url == sandbox.generations[0].urls[0]
