"""Fixtures of the tests that look at Airflow's pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.browser.airflow_server import AirflowServer

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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Provide a page of a browser that knows nobody yet."""
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context:
        yield context.new_page()


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
    with AirflowServer(home, _apimart.connection_json()) as server:
        yield server
