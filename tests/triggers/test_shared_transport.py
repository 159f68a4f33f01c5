"""All waits of a connection in one event loop share one transport, and none is left behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.waiting import Verdict
from airflow_provider_apimart.exceptions import ApimartAuthenticationError, ApimartConfigurationError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.triggers import shared_transport as module
from airflow_provider_apimart.triggers.generation import ApimartGenerationTrigger
from airflow_provider_apimart.triggers.shared_transport import SharedTransport

CONN_ID = "apimart_default"


class Watch:
    """What became of the transports that were opened."""

    def __init__(self) -> None:
        self.opened: list[AiohttpTransport] = []

    @property
    def left_open(self) -> int:
        sessions = [account.session for transport in self.opened for account in transport._accounts]
        return sum(session is not None and not session.closed for session in sessions)


@pytest.fixture
def watch(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    watching = Watch()
    open_transport = AiohttpTransport.open

    async def opened(transport: AiohttpTransport) -> None:
        await open_transport(transport)
        watching.opened.append(transport)

    monkeypatch.setattr(AiohttpTransport, "open", opened)
    monkeypatch.setattr(module, "_polling_stats", {})
    yield watching
    assert watching.left_open == 0
    assert not any(module._by_loop.values())


def submitted() -> str:
    payload = {"model": "gemini-2.5-flash-image-preview", "prompt": "a cat"}
    submission = ApimartHook().submit_generation("image", payload, idempotency_key=f"key-{time.monotonic_ns()}")
    return str(submission.generation.generation_id)


async def verdict(trigger: ApimartGenerationTrigger) -> str:
    event = await anext(trigger.run())
    said: str = event.payload["verdict"]
    return said


def trigger(generation_id: str, **arguments: Any) -> ApimartGenerationTrigger:
    return ApimartGenerationTrigger(generation_id, time.time(), CONN_ID, poll_interval=0.1, **arguments)


async def test_many_waits_share_one_session(watch: Watch) -> None:
    generation_id = await asyncio.to_thread(submitted)
    verdicts = await asyncio.gather(*(verdict(trigger(generation_id)) for _ in range(200)))
    assert set(verdicts) == {Verdict.COMPLETED}
    assert len(watch.opened) == 1


async def test_thousands_of_cancelled_waits_leave_nothing_behind(watch: Watch) -> None:
    before = asyncio.all_tasks()
    waits = [asyncio.ensure_future(verdict(trigger("task_any"))) for _ in range(2000)]
    await asyncio.sleep(0.2)
    for wait in waits:
        wait.cancel()
    results = await asyncio.gather(*waits, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) or result == Verdict.ERROR for result in results)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_thousands_of_waits_go_on_after_a_restart(sandbox: Sandbox, watch: Watch) -> None:
    """The triggerer stops, and another makes the same triggers again of what was stored."""
    sandbox.configure(seconds=1000)
    generation_id = await asyncio.to_thread(submitted)
    before = asyncio.all_tasks()
    stored = [trigger(generation_id, deadline=time.time() + 600).serialize()[1] for _ in range(1000)]
    waits = [asyncio.ensure_future(verdict(ApimartGenerationTrigger(**arguments))) for arguments in stored]
    while not sandbox.requests[1:]:  # noqa: ASYNC110 - the sandbox lives in a thread and sets no event of this loop
        await asyncio.sleep(0.01)
    for wait in waits:
        wait.cancel()
    assert {type(result) for result in await asyncio.gather(*waits, return_exceptions=True)} == {asyncio.CancelledError}
    assert watch.left_open == 0
    sandbox.complete_all()
    again = [asyncio.ensure_future(verdict(ApimartGenerationTrigger(**arguments))) for arguments in stored]
    assert set(await asyncio.gather(*again)) == {Verdict.COMPLETED}
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert len(watch.opened) == 2


async def test_what_was_learnt_outlives_the_transport(
    sandbox: Sandbox, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SharedTransport(CONN_ID) as (first, learnt):
        learnt.run_times.note("m", 7.0)
    async with SharedTransport(CONN_ID) as (second, known):
        assert second is not first
        assert list(known.run_times.of("m")) == [7.0]
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", sandbox.connection_json())
    async with SharedTransport("other") as (_, others):
        assert not others.run_times.of("m")


async def test_a_wait_that_is_cancelled_while_it_opens_leaves_the_others_alone(watch: Watch) -> None:
    generation_id = await asyncio.to_thread(submitted)
    first, second = (asyncio.ensure_future(verdict(trigger(generation_id))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Verdict.COMPLETED
    assert len(watch.opened) == 1


async def test_the_only_wait_is_cancelled_while_it_opens(watch: Watch) -> None:
    wait = asyncio.ensure_future(verdict(trigger("task_any")))
    await asyncio.sleep(0)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    await asyncio.sleep(0.2)
    assert watch.left_open == 0


async def test_a_caller_during_its_closing_gets_another(watch: Watch) -> None:
    async with SharedTransport(CONN_ID) as (first, _):
        pass
    async with SharedTransport(CONN_ID) as (second, _):
        assert second is not first
        assert not second._accounts[0].session.closed


async def test_a_refused_key_is_read_again_by_the_next(watch: Watch) -> None:
    async with SharedTransport(CONN_ID) as (kept, _):
        with pytest.raises(ApimartAuthenticationError):
            async with SharedTransport(CONN_ID):
                raise ApimartAuthenticationError("the key was revoked")
        async with SharedTransport(CONN_ID) as (renewed, _):
            assert renewed is not kept
        assert not kept._accounts[0].session.closed


async def test_a_bad_connection_is_reported_to_every_wait(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps({"conn_type": "apimart", "password": ""}))
    events = await asyncio.gather(*(anext(trigger("task_any").run()) for _ in range(3)))
    assert {event.payload["error"]["type"] for event in events} == {ApimartConfigurationError.__name__}
    monkeypatch.undo()


async def test_a_connection_that_is_not_defined_is_reported_as_such(watch: Watch) -> None:
    event = await anext(ApimartGenerationTrigger("task_any", time.time(), "no_such_connection").run())
    assert event.payload["error"]["type"] == ApimartConfigurationError.__name__
    assert "AIRFLOW_CONN_NO_SUCH_CONNECTION" in event.payload["error"]["message"]


async def test_the_deadline_is_absolute(sandbox: Sandbox, watch: Watch) -> None:
    """A trigger that starts again after a restart doesn't begin its time anew."""
    sandbox.configure(seconds=1000)
    generation_id = await asyncio.to_thread(submitted)
    assert await verdict(trigger(generation_id, deadline=time.time() - 1)) == Verdict.DEADLINE_PASSED


async def test_one_connections_trouble_does_not_slow_another(
    sandbox: Sandbox, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox() as other:
        monkeypatch.setenv("AIRFLOW_CONN_OTHER", other.connection_json())
        other.inject(Fault("rate_limited", on="status", times=1, retry_after=60))
        generation_id = await asyncio.to_thread(submitted)
        limited = asyncio.ensure_future(
            verdict(ApimartGenerationTrigger("task_any", time.time(), "other", poll_interval=0.05))
        )
        await asyncio.sleep(0.2)
        assert await verdict(trigger(generation_id)) == Verdict.COMPLETED
        assert not limited.done()
        limited.cancel()
        with pytest.raises(asyncio.CancelledError):
            await limited


def test_each_event_loop_has_its_own(watch: Watch) -> None:
    async def use() -> AiohttpTransport:
        async with SharedTransport(CONN_ID) as (transport, _):
            return transport

    assert asyncio.run(use()) is not asyncio.run(use())


async def test_a_replaced_key_goes_on_with_the_wait(
    sandbox: Sandbox, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old key is revoked while generations run; the connection holds the new one by then."""
    generation_id = await asyncio.to_thread(submitted)
    monkeypatch.setenv(
        "AIRFLOW_CONN_ROTATED", json.dumps({"conn_type": "apimart", "host": sandbox.base_url, "password": "old"})
    )
    open_transport = AiohttpTransport.open

    async def rotate(transport: AiohttpTransport) -> None:
        await open_transport(transport)
        monkeypatch.setenv("AIRFLOW_CONN_ROTATED", sandbox.connection_json())

    monkeypatch.setattr(AiohttpTransport, "open", rotate)
    waits = [ApimartGenerationTrigger(generation_id, time.time(), "rotated", poll_interval=0.05) for _ in range(3)]
    assert set(await asyncio.gather(*map(verdict, waits))) == {Verdict.COMPLETED}


async def test_a_refused_key_that_was_not_replaced_is_asked_once(
    sandbox: Sandbox, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"conn_type": "apimart", "host": sandbox.base_url, "password": "revoked"}
    monkeypatch.setenv("AIRFLOW_CONN_REVOKED", json.dumps(bad))
    event = await anext(ApimartGenerationTrigger("task_any", time.time(), "revoked", poll_interval=0.05).run())
    assert event.payload["error"]["type"] == ApimartAuthenticationError.__name__
    assert len(sandbox.requests) == 1


async def test_any_error_in_a_wait_names_the_generation(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an event, the task would fail without knowing what goes on and bills."""

    async def no_answer(hook: ApimartHook) -> None:
        raise RuntimeError("the supervisor didn't answer")

    monkeypatch.setattr(ApimartHook, "get_async_settings", no_answer)
    event = await anext(ApimartGenerationTrigger("task_any", time.time()).run())
    assert event.payload["error"]["type"] == "ApimartStatusUnreadableError"
    assert event.payload["error"]["generation_id"] == "task_any"
