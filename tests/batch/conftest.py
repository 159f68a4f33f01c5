"""Sandbox with short run times for all batches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.batch.support import QUICK


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One server for all tests."""
    with Sandbox(SandboxSettings(seconds=0.1, balance=None)) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return a sandbox that remembers nothing, to which the default connection leads."""
    shared_sandbox.reset()
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", shared_sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "status_policy", QUICK)
    return shared_sandbox
