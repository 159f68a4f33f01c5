"""A sandbox whose clock the tests move, and its client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings

from .support import Client


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One server for a module's tests."""
    with Sandbox(SandboxSettings(seconds=10, jitter=0)) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """Return a sandbox that remembers nothing; its jobs take ten seconds of its own clock."""
    shared.reset()
    return shared


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    """Return a client of the sandbox."""
    return Client(sandbox)
