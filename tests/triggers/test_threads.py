"""The triggerer's calls beside another thread's: what each sends is its own."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.balance import balance
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.sandbox import Sandbox

CALLS = 4000


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let threads take turns in the midst of extension code too, as finalizers do that run Python."""

    def work(*_: object) -> None:
        for _turn in range(20):
            pass

    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.callbacks.append(work)
    gc.set_threshold(20)
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
        gc.callbacks.remove(work)


@pytest.mark.usefixtures("interruptible")
def test_requests_do_not_mix_with_what_another_thread_sends(sandbox: Sandbox) -> None:
    """The sandbox is that thread: the buffer of aiohttp before 3.13 let its answers become our requests."""

    async def ask() -> set[bool]:
        async with AiohttpTransport(ClientSettings(sandbox.api_key, sandbox.base_url)) as transport:
            answers = await asyncio.gather(*(transport.run(balance()) for _ in range(CALLS)))
        return {answer.unlimited for answer in answers}

    assert asyncio.run(ask()) == {False}
    assert len(sandbox.requests) == CALLS
    assert {request.path for request in sandbox.requests} <= {"/v1/balance", "/v1/user/balance"}
