"""The descriptions of the sandbox's models, read from it over HTTP, and descriptions made by a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from airflow_provider_apimart.checks.findings import Models
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings

from .support import read_models

# The same examples every time: a test that fails by chance tells its reader nothing of the change at hand.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def strict_sandbox() -> Iterator[Sandbox]:
    """Run a sandbox that refuses parameters that it doesn't describe."""
    with Sandbox(SandboxSettings(strict=True, balance=None)) as running:
        yield running


@pytest.fixture(scope="session")
def described(strict_sandbox: Sandbox) -> Models:
    """Return the descriptions of the sandbox's models."""
    return read_models(strict_sandbox)
