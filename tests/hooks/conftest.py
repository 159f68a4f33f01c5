"""Sandbox with short run times for tests of hooks, and an environment without proxies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings

from .support import Holder, in_trigger, in_worker, quick_hook


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """One server for all tests."""
    with Sandbox(SandboxSettings(seconds=0.05, jitter=0, video_multiple=1)) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """Return a sandbox that remembers nothing."""
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def hook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ApimartHook:
    """Return a hook for the sandbox that pauses hardly at all."""
    return quick_hook(monkeypatch, sandbox.base_url)


@pytest.fixture(params=[in_worker, in_trigger], ids=["worker", "trigger"])
def holder(request: pytest.FixtureRequest) -> Holder:
    """Hold flows over either transport."""
    held: Holder = request.param
    return held


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take proxies and certificates of this machine away."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
