"""The pages of the provider in Airflow's interface, used as a person does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.browser.pictures import shown
from tests.browser.screenshots import keep
from tests.lab.airflow_server import AirflowServer
from tests.page import content

if TYPE_CHECKING:
    from playwright.sync_api import Frame, FrameLocator, Page

DAG_ID = "pages"
PROMPTS = (
    "A red fox in fresh snow, morning light",
    "A heron standing in a lake at dusk",
    "A ceramic teapot on a linen cloth",
    "A lighthouse in a storm",
    "An orange cat asleep on a windowsill",
    "A mountain hut in winter",
    "A vintage bicycle leaning on a yellow wall",
    "A glass of iced tea with lemon",
    "A paper boat on a rainy street",
    "A bowl of ramen from above",
)
BAD = (
    {"id": "sku-0097", "prompt": "A kite [sandbox: fail out of paint]"},
    {"id": "sku-0098", "prompt": "A drum [sandbox: fail out of paint]"},
    {"id": "sku-0099", "prompt": "A riot [sandbox: moderation]"},
)


def requests(number: int = 24) -> list[dict[str, Any]]:
    """Return requests for pictures, the last of which fail."""
    sizes = ("1:1", "4:3", "1:1", "3:4")
    made = [
        {"id": f"sku-{each:04d}", "prompt": PROMPTS[each % len(PROMPTS)], "size": sizes[each % len(sizes)]}
        for each in range(number)
    ]
    return [*made, *BAD]


@pytest.fixture(scope="session")
def place(airflow: AirflowServer) -> Path:
    """Return where tasks and API server of that Airflow keep their index."""
    return airflow.home / "apimart"


@pytest.fixture(scope="session")
def finished(airflow: AirflowServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run a batch, a video and music once for all tests, and return the run's id."""
    destination = tmp_path_factory.mktemp("results").as_uri()
    run_id = airflow.trigger(DAG_ID, {"requests": requests(), "destination": destination})
    airflow.wait_for(DAG_ID, run_id, catalogue="success", film="success", score="success")
    return run_id


def framed(page: Page, airflow: AirflowServer) -> FrameLocator:
    """Open the pages from Airflow's navigation."""
    page.goto(airflow.base_url)
    direct = page.get_by_role("link", name="APIMart", exact=True)
    plugins = page.get_by_role("button", name="Plugins")
    direct.or_(plugins).first.wait_for()
    if not direct.is_visible():
        plugins.click()
        page.get_by_role("menuitem", name="APIMart").click()
    else:
        direct.click()
    page.locator("iframe[title=APIMart]").wait_for()
    return page.frame_locator("iframe[title=APIMart]")


def frame_of(page: Page) -> Frame:
    """Return the frame of the pages."""
    return next(frame for frame in page.frames if "/apimart/" in frame.url)


def gallery_of(airflow: AirflowServer, run_id: str, task_id: str = "catalogue", dag_id: str = DAG_ID) -> str:
    """Return the address of the gallery of a task."""
    query = urlencode({"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "sort": "request"})
    return f"{airflow.base_url}/apimart/gallery?{query}"


def messages(page: Page) -> list[str]:
    """Collect what the browser complains about, such as a violated policy."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def foreign(page: Page, airflow: AirflowServer) -> list[str]:
    """Collect requests to other hosts."""
    found: list[str] = []
    page.on("request", lambda asked: None if asked.url.startswith(airflow.base_url) else found.append(asked.url))
    return found


def test_the_navigation_leads_to_the_batches(page: Page, airflow: AirflowServer, finished: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 640})
    frame = framed(page, airflow)
    row = frame.locator(".work").filter(has_text=finished).filter(has_text="catalogue")
    row.wait_for()
    assert "24 of 27 done" in row.inner_text()
    assert "3 failed" in row.inner_text()
    assert "incomplete" in row.inner_text()
    keep("page_batches", page.locator("body"))

    row.get_by_role("link", name="catalogue").click()
    frame.locator(".card").first.wait_for()
    assert "framed" in (frame.locator("html").get_attribute("class") or "")
    # A link to Airflow leaves the frame.
    frame.get_by_role("link", name="Task and log").click()
    page.wait_for_url(re.compile(f"/dags/{DAG_ID}/runs/.*/tasks/catalogue"))


def test_a_gallery_shows_what_was_made(page: Page, airflow: AirflowServer, finished: str) -> None:
    complaints, asked = messages(page), foreign(page, airflow)
    page.set_viewport_size({"width": 1280, "height": 668})
    page.goto(gallery_of(airflow, finished))
    assert page.locator(".card").count() == 27
    for number in range(6):
        shown(page.locator(".card img").nth(number))
    keep("page_gallery", page.locator("body"))

    page.get_by_text("Failures by reason").click()
    assert "Out of paint" in page.locator(".reasons").inner_text()

    page.get_by_role("searchbox").fill("teapot")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=teapot"))
    assert page.locator(".card").count() == 3
    page.goto(gallery_of(airflow, finished))
    page.get_by_label("Status").select_option("failed")
    page.wait_for_url(re.compile("status=failed"))
    assert page.locator(".card").count() == 2
    assert (complaints, asked) == ([], [])


def test_an_item_is_opened_and_left_by_keys(page: Page, airflow: AirflowServer, finished: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 860})
    page.goto(gallery_of(airflow, finished))
    page.get_by_role("link", name=PROMPTS[0]).first.click()
    page.get_by_role("heading", name="sku-0000").wait_for()
    shown(page.locator(".files img").first)
    keep("page_item", page.locator("body"))
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="sku-0001").wait_for()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="sku-0000").wait_for()
    page.keyboard.press("Escape")
    page.locator(".card").first.wait_for()


def test_videos_and_music_play(page: Page, airflow: AirflowServer, finished: str) -> None:
    complaints = messages(page)
    for task_id, kind in (("film", "video"), ("score", "audio")):
        page.goto(gallery_of(airflow, finished, task_id))
        player = page.locator(kind).first
        player.evaluate("each => { each.muted = true; return each.play(); }")
        page.wait_for_function("each => each.currentTime > 0", arg=player.element_handle())
        # A jump asks for a part of the file.
        player.evaluate("each => { each.currentTime = each.duration * 0.8; }")
        page.wait_for_function("each => !each.seeking && each.currentTime > 1", arg=player.element_handle())
    assert complaints == []


def test_a_running_batch_moves(page: Page, airflow: AirflowServer, tmp_path: Path) -> None:
    slow = [each | {"prompt": f"{each['prompt']} [sandbox: slow]"} for each in requests(20)[:20]]
    run_id = airflow.trigger("pages_slow", {"requests": slow, "destination": tmp_path.as_uri()})
    address = gallery_of(airflow, run_id, dag_id="pages_slow")
    airflow.wait_for("pages_slow", run_id, catalogue="running")
    page.goto(address)
    while not page.locator("[data-is-live]").count():
        page.wait_for_timeout(1000)
        page.reload()
    before = page.locator(".work .counts").inner_text()
    page.wait_for_function("before => document.querySelector('.work .counts').innerText !== before", arg=before)
    page.locator(".work").get_by_text("20 of 20 done").wait_for()
    page.locator(".pill.complete").wait_for()
    page.locator(".card img").nth(19).wait_for(state="attached")
    airflow.wait_for("pages_slow", run_id, catalogue="success")


def test_the_link_of_the_task_leads_to_its_gallery(page: Page, airflow: AirflowServer, finished: str) -> None:
    page.goto(f"{airflow.base_url}/dags/{DAG_ID}/runs/{finished}/tasks/catalogue/details")
    link = page.get_by_role("link", name="APIMart gallery")
    link.wait_for()
    address = link.get_attribute("href") or ""
    page.goto(address if address.startswith("http") else f"{airflow.base_url}{address}")
    page.locator(".card").first.wait_for()
    assert page.get_by_role("heading", name="catalogue").is_visible()


def test_costs_are_shown_and_downloaded(page: Page, airflow: AirflowServer, sandbox: Sandbox, finished: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 960})
    frame = framed(page, airflow)
    frame.get_by_role("link", name="Cost").click()
    frame.get_by_role("heading", name="Cost", exact=True).wait_for()
    assert DAG_ID in frame.locator(".tables").inner_text()
    assert frame.locator(".plot rect").count() >= 1
    keep("page_cost", page.locator("body"))
    # Frames of Airflow 3.1 and 3.2 may not download: the page does it outside.
    with page.expect_download() as download:
        frame.get_by_role("link", name="Download CSV").click()
    assert download.value.suggested_filename == "apimart-cost.csv"
    assert Path(download.value.path()).read_text().startswith("day,dag_id,task_id,model")


def test_ten_thousand_items_scroll(
    page: Page, airflow: AirflowServer, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(place))
    entry = content.large_batch("ten_thousand", tmp_path, 10_000)
    page.goto(f"{airflow.base_url}/apimart/gallery?batch={entry.name}&sort=request")
    page.locator(".total").get_by_text("10,000 items").wait_for()
    seen = page.locator(".card").count()
    for _ in range(5):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_function("seen => document.querySelectorAll('.card').length > seen", arg=seen)
        seen = page.locator(".card").count()
    assert seen >= 360
    identities = page.locator(".card .id").all_text_contents()
    assert identities[:300] == [f"product-{number}" for number in range(300)]


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_overflows_and_axe_finds_no_serious_fault(
    page: Page, airflow: AirflowServer, finished: str, width: int, scheme: Any
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-core isn't installed: `make browser`"
    )
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(gallery_of(airflow, finished))
    item = page.locator(".card h3 a").first.get_attribute("href") or ""
    failed = page.locator(".card.failure h3 a").first.get_attribute("href") or ""
    paths = (
        "/apimart/",
        f"{gallery_of(airflow, finished).removeprefix(airflow.base_url)}",
        item,
        failed,
        "/apimart/cost",
    )
    for path in paths:
        page.goto(f"{airflow.base_url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = axe.Axe().run(page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], path


def test_the_page_follows_the_theme_of_airflow(page: Page, airflow: AirflowServer) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{airflow.base_url}/apimart/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_everything_can_be_reached_by_keyboard(page: Page, airflow: AirflowServer, finished: str) -> None:
    page.goto(gallery_of(airflow, finished))
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    names = []
    for _ in range(30):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
    assert {"Status", "Model", "Order", "Failures by reason"} <= set(names)
    assert set(names) & set(PROMPTS)
