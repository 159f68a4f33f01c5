"""The connection's form and its test button, and what a connection made there is good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.get_provider_info import get_provider_info
from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import needs
from tests.browser.screenshots import keep
from tests.lab.airflow_server import AirflowServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

(CONNECTION_TYPE,) = get_provider_info()["connection-types"]
WRONG_KEY = "sk-nobody-knows-this-one"


def opened_form(page: Page, airflow: AirflowServer, connection_id: str) -> Locator:
    """Open the form for a new connection to APIMart."""
    page.set_viewport_size({"width": 1000, "height": 1400})
    page.goto(f"{airflow.base_url}/connections")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill(connection_id)
    form.get_by_role("combobox").click()
    page.get_by_role("option", name="APIMart", exact=True).click()
    form.locator("input[name=password]").wait_for()
    return form


def fill(form: Locator, sandbox: Sandbox, *, api_key: str) -> None:
    form.locator("input[name=host]").fill(sandbox.base_url)
    form.locator("input[name=password]").fill(api_key)
    # Airflow 3.3.1 and 3.3.2 test no connection without a port.
    form.locator("input[name=port]").fill(sandbox.base_url.rpartition(":")[2])


def fill_extra(form: Locator, *, timeout: str, headers: str) -> None:
    form.get_by_text("Extra Fields", exact=True).click()
    form.locator("input[name=element_timeout]").fill(timeout)
    form.locator("#element_headers").click()
    form.page.keyboard.type(headers)


def save(form: Locator) -> None:
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="detached")


def answer_to_the_test(page: Page, connection_id: str) -> Locator:
    """Click the button that tests a connection, and return what Airflow says then."""
    page.set_viewport_size({"width": 1000, "height": 560})
    # What was said of saving is gone from a page that is loaded anew.
    page.reload()
    page.get_by_role("row").filter(has_text=connection_id).get_by_role("button", name="Test Connection").click()
    said = page.locator("[data-scope=toast][data-part=root]")
    said.wait_for()
    return said


def labels(section: Locator) -> list[str]:
    return [label.strip() for label in section.locator("label").all_inner_texts()]


@needs("connection form from the provider's description")
def test_the_form_has_what_a_connection_to_apimart_needs(airflow: AirflowServer, page: Page) -> None:
    form = opened_form(page, airflow, "apimart_default")
    standard, extra = form.locator("[data-part=item]").all()[:2]
    assert labels(standard) == ["Description", "Base URL", "API Key", "Port"]
    for field in ("host", "password", "port"):
        shown = form.locator(f"input[name={field}]").get_attribute("placeholder")
        assert shown == CONNECTION_TYPE["ui-field-behaviour"]["placeholders"][field]
    assert form.locator("input[name=password]").get_attribute("type") == "password"
    keep("connection_form", form)

    form.get_by_text("Extra Fields", exact=True).click()
    fields = CONNECTION_TYPE["conn-fields"].values()
    assert labels(extra) == [field["label"] for field in fields]
    for field in fields:
        extra.get_by_text(field["description"], exact=True).wait_for()
    keep("connection_form_extra", extra)


@needs("connection form from the provider's description")
def test_a_connection_saved_in_the_form_makes_a_generation(
    airflow: AirflowServer, sandbox: Sandbox, page: Page
) -> None:
    form = opened_form(page, airflow, "apimart_of_the_form")
    fill(form, sandbox, api_key=sandbox.api_key)
    fill_extra(form, timeout="30", headers="X-Team: media\nX-Purpose: test\n")
    save(form)

    run_id = airflow.trigger("any_connection", {"connection": "apimart_of_the_form"})

    airflow.wait_for("any_connection", run_id, generate="success")
    assert (sandbox.accepted, sandbox.billed) == (1, 1)
    (made,) = sandbox.generations
    sent = {
        (request.route, request.headers.get("X-Team"), request.headers.get("X-Purpose"))
        for request in sandbox.requests
        if request.route == "submit" or made.generation_id in request.path
    }
    assert sent == {("submit", "media", "test"), ("status", "media", "test")}


def test_the_test_button_shows_what_is_left(airflow: AirflowServer, sandbox: Sandbox, page: Page) -> None:
    form = opened_form(page, airflow, "apimart_good_key")
    fill(form, sandbox, api_key=sandbox.api_key)
    save(form)

    said = answer_to_the_test(page, "apimart_good_key").inner_text()

    assert "Test Connection Successful" in said
    assert "APIMart accepts the API key; $100.00 are left on it." in said
    assert sandbox.accepted == 0
    keep("connection_test", page.locator("body"))


def test_the_test_button_explains_a_wrong_key_and_does_not_repeat_it(
    airflow: AirflowServer, sandbox: Sandbox, page: Page
) -> None:
    form = opened_form(page, airflow, "apimart_wrong_key")
    fill(form, sandbox, api_key=WRONG_KEY)
    save(form)

    said = answer_to_the_test(page, "apimart_wrong_key").inner_text()

    assert "Test Connection Failed" in said
    assert "APIMart does not accept the API key; check the API key (the connection's password)" in said
    assert WRONG_KEY not in page.content()
    assert WRONG_KEY not in airflow.log_file.read_text()
    keep("connection_test_refused", page.locator("body"))
