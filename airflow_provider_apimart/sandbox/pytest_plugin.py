"""
Pytest fixture that runs a sandbox, for tests of your own DAGs.

Add ``pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]`` to the root ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.service.settings import SandboxSettings


@pytest.fixture
def apimart_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox with short run times, and point the connection ``apimart_default`` to it."""
    with Sandbox(SandboxSettings(seconds=0.2)) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
        yield sandbox
