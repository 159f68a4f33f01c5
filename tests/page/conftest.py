"""Fixtures of the tests of the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_apimart.sandbox import Sandbox
from tests.airflow_versions import lacks, reason

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

collect_ignore = ["test_access.py", "test_routes.py", "test_pictures.py", "test_large.py"]
if not lacks("page of a plugin"):
    collect_ignore = []


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign tokens with a key that all processes of an Airflow would share."""
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret" * 12)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request list the index anew: tests change it between two of them."""
    monkeypatch.setattr("airflow_provider_apimart.plugin.index._FRESH_SECONDS", 0.0)
    monkeypatch.setattr("airflow_provider_apimart.plugin.index._FRESH_FACTOR", 0)


@pytest.fixture
def apimart(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Provide a sandbox that the default connection leads to."""
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    return sandbox


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Provide the directory that ``[apimart] ledger_path`` names."""
    monkeypatch.setenv("AIRFLOW__APIMART__LEDGER_PATH", str(tmp_path / "place"))
    return tmp_path / "place"


@pytest.fixture
def host(place: Path) -> FastAPI:
    """Provide an application with the pages and Airflow's simple auth manager."""
    if lacks("page of a plugin"):
        pytest.skip(reason("page of a plugin"))
    from tests.page.host import airflow_with_pages

    # Airflow makes the validator of tokens in a loop that runs.
    return asyncio.run(_made(airflow_with_pages))


async def _made(make: Callable[[], FastAPI]) -> FastAPI:
    return make()


@pytest.fixture
def viewer(host: FastAPI) -> TestClient:
    """Provide the browser of somebody who may read every DAG."""
    from tests.page.host import client, simple_user

    return client(host, simple_user("viewer", "VIEWER"))


@pytest.fixture
def nobody(host: FastAPI) -> TestClient:
    """Provide the browser of somebody who isn't logged in."""
    from tests.page.host import client

    return client(host)
