"""
A fixture for your own tests of DAGs.

Add ``pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]`` to the ``conftest.py`` at the root.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.settings import SandboxSettings


@pytest.fixture
def apimart_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a quick sandbox, and make it what the connection ``apimart_default`` leads to."""
    with Sandbox(SandboxSettings(seconds=0.2)) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
        yield sandbox
