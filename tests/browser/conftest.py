"""Fixtures of the tests that look at Airflow's pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.lab.airflow_server import AirflowServer
from tests.lab.fork_server import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# It works as root and talks to nobody but the pages under test.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Milliseconds until a page counts as broken, on a machine that is busy with a whole Airflow.
_PATIENCE = 120_000
_FOLDERS = {"examples": PROJECT / "example_dags", "browser": PROJECT / "tests" / "browser" / "dags"}
_BUNDLES = [
    {
        "name": name,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder)},
    }
    for name, folder in _FOLDERS.items()
]
_SETTINGS = {
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    # A busy machine lets Airflow fail a task before it begins. What a retry costs is counted.
    "AIRFLOW__CORE__DEFAULT_TASK_RETRIES": "3",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(_BUNDLES),
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Provide the machine's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed: `make browser`")
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip("there is no Chromium on this machine: `make browser` installs Debian's where it may")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def _apimart(browser: Browser) -> Iterator[Sandbox]:
    """Run one sandbox for all tests, since Airflow reads the connection when it starts."""
    with Sandbox(SandboxSettings(seconds=0.3)) as apimart:
        yield apimart


@pytest.fixture
def sandbox(_apimart: Sandbox) -> Sandbox:
    """Provide an APIMart that remembers nothing."""
    _apimart.reset()
    return _apimart


@pytest.fixture(scope="session")
def airflow(_apimart: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    """Provide a whole Airflow, shared by all tests: each makes DAG runs of its own."""
    home: Path = tmp_path_factory.mktemp("airflow")
    settings = _SETTINGS | {"AIRFLOW__APIMART__LEDGER_PATH": str(home / "apimart")}
    with AirflowServer(home, _apimart.connection_json(), settings=settings) as server:
        yield server


@pytest.fixture
def page(browser: Browser, airflow: AirflowServer) -> Iterator[Page]:
    """Provide a page of a browser of its own, which Airflow knows already."""
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        # The first visit logs in, from where not every version of Airflow leads on to the page that was asked for.
        page.goto(airflow.base_url)
        page.get_by_role("link", name="Home").first.wait_for()
        yield page
