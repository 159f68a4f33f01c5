from __future__ import annotations

import asyncio
import gzip
import io
import logging
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.balance import balance
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import retrying
from airflow_provider_apimart.api.http_messages import RequestKind
from airflow_provider_apimart.api.rate_limiter import RateLimiter
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.submission import submit
from airflow_provider_apimart.api.upload import ImageFile, upload
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox

from .support import PAYLOAD, PICTURE, QUICK, Holder, http, in_trigger, kept_alive_then_cut, quick_hook, wire

ONCE = RetryPolicy(max_requests=1)
OK = b'{"id":"task_1","remain_balance":5}'

BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "short body": http("200 OK", OK, length=500),
    "short chunk": http("200 OK", b"ff\r\n" + OK, headers="Transfer-Encoding: chunked\r\n", length=-1),
    "no last chunk": http(
        "200 OK", b"%x\r\n%s\r\n" % (len(OK), OK), headers="Transfer-Encoding: chunked\r\n", length=-1
    ),
    "bad chunk": http("200 OK", b"zz\r\n" + OK, headers="Transfer-Encoding: chunked\r\n", length=-1),
    "damaged gzip": http("200 OK", b"\x1f\x8b" + OK, headers="Content-Encoding: gzip\r\n"),
    "half a JSON": http("200 OK", b'{"id":"tas'),
    "html": http("200 OK", b"<html><body>Welcome to nginx!</body></html>"),
    "binary": http("200 OK", bytes(range(256))),
    "gigantic header": http("200 OK", OK, headers=f"X-A: {'a' * 200_000}\r\n"),
    "many headers": http("200 OK", OK, headers="".join(f"X-{number}: a\r\n" for number in range(5_000))),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
}


@pytest.mark.parametrize("what", [what for what in BROKEN if what != "many headers"])
def test_a_broken_reply_leaves_a_submit_unknown_and_a_read_unread(
    what: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(BROKEN[what]) as server:
        hook = quick_hook(monkeypatch, server.url)
        with pytest.raises(errors.ApimartUnknownOutcomeError):
            holder(hook, submit(Modality.IMAGE, PAYLOAD, "k", ONCE))
        assert len(server.received) == 1
        with pytest.raises(errors.ApimartServerError):
            holder(hook, balance())


def test_many_headers_are_read_or_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(BROKEN["many headers"]) as server:
        try:
            submission = holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "k", ONCE))
        except errors.ApimartUnknownOutcomeError:
            return
    assert submission.generation.generation_id == "task_1"


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("told", [True, False])
def test_the_cap_on_a_reply(over: int, told: bool, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    body = OK + b" " * (contract.MAX_REPLY_BYTES + over - len(OK))
    with wire(http("200 OK", body, length=None if told else -1)) as server:
        hook = quick_hook(monkeypatch, server.url)
        if not over:
            assert holder(hook, balance()).remaining == Decimal(5)
            return
        with pytest.raises(errors.ApimartServerError, match="33,554,432"):
            holder(hook, balance())


def test_a_bomb_of_zeros_stops_at_the_cap(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    reply = http("200 OK", bomb, headers="Content-Encoding: gzip\r\n")
    with wire(reply) as server, pytest.raises(errors.ApimartServerError, match=r"33,?554,?432"):
        holder(quick_hook(monkeypatch, server.url), balance())


def test_a_body_that_drips_runs_out_of_time(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    sandbox.inject(Fault("endless", on="balance", seconds=3.0))
    hook = quick_hook(monkeypatch, sandbox.base_url, extra={"timeout": 0.3})
    with pytest.raises(errors.ApimartServerError, match="No complete reply"):
        holder(hook, balance())


def test_a_head_that_drips_runs_out_of_time_in_the_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = http("200 OK", OK)
    with wire(answer, pieces=0.015) as server:
        hook = quick_hook(monkeypatch, server.url, extra={"timeout": 0.2})
        with pytest.raises(errors.ApimartServerError):
            in_trigger(hook, balance())
        assert server.said < len(answer) / 2


@pytest.mark.parametrize("route", ["submit", "upload", "read"])
def test_every_kind_of_call_has_its_time_out(
    route: str, tmp_path: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(10))
    sandbox.inject(Fault("no_answer", on="any", seconds=3.0, times=100))
    extra = {"timeout": 60, "upload_timeout": 0.1} if route == "upload" else {"timeout": 0.1, "upload_timeout": 60}
    hook = quick_hook(monkeypatch, sandbox.base_url, extra=extra)
    hook.submit_policy = hook.status_policy = hook.upload_policy = ONCE
    calls: dict[str, Any] = {
        "submit": lambda: hook.submit_generation("image", PAYLOAD, idempotency_key="k"),
        "upload": lambda: hook.upload_image(path),
        "read": hook.get_balance,
    }
    kind = errors.ApimartUnknownOutcomeError if route == "submit" else errors.ApimartServerError
    with pytest.raises(kind, match=r"(?i)time"):
        calls[route]()


async def opened(hook: ApimartHook) -> AiohttpTransport:
    transport = AiohttpTransport(await hook.get_async_settings())
    await transport.open()
    return transport


CUTS: dict[str, tuple[bool, bytes]] = {
    "before the request is read": (False, b""),
    "after the request is read": (True, b""),
    "within the head of the reply": (True, b"HTTP/1.1 200 OK\r\nContent-Le"),
    "within the body of the reply": (True, http("200 OK", OK, length=500)),
}


@pytest.mark.parametrize("call", ["submit", "upload"])
@pytest.mark.parametrize("cut", CUTS)
async def test_a_post_on_a_connection_that_is_cut_is_sent_once(
    cut: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ImageFile("/data/fox.png", "fox.png", len(PICTURE), lambda: io.BytesIO(PICTURE))
    kind = errors.ApimartUnknownOutcomeError if call == "submit" else errors.ApimartServerError
    read, said = CUTS[cut]
    with kept_alive_then_cut(OK, read=read, said=said) as server:
        transport = await opened(quick_hook(monkeypatch, server.url))
        try:
            await transport.run(balance())
            posting = submit(Modality.IMAGE, PAYLOAD, "k", ONCE) if call == "submit" else upload(image, ONCE)
            with pytest.raises(kind, match=r"(?i)no complete reply"):
                await transport.run(posting)
        finally:
            await transport.close()
    # The POST went over the connection that was kept alive, and over no other one after that.
    assert server.requests == [(0, "GET"), (0, "POST")]


async def test_one_429_holds_all_requests_of_its_kind(
    sandbox: Sandbox, hook: ApimartHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of its kind is sent until the pause is over."""
    now, sent = [1000.0], []

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    class SentPace(RateLimiter):
        def sent(self) -> float:
            sent.append(super().sent())
            return sent[-1]

    transport = await opened(hook)
    transport._turns[RequestKind.READ].limiter = SentPace(lambda: now[0])
    try:
        sandbox.inject(Fault("rate_limited", on="balance", retry_after=30))
        with pytest.raises(errors.ApimartRateLimitError):
            await transport.run(balance())
        monkeypatch.setattr("airflow_provider_apimart.api.aiohttp_transport.asyncio.sleep", sleep)
        for left in await asyncio.gather(*(transport.run(balance()) for _ in range(5))):
            assert left.remaining == Decimal(100)
    finally:
        await transport.close()
    refused, *later = sent
    assert min(later) >= refused + 30.0


async def test_a_new_rate_is_logged_once(sandbox: Sandbox, hook: ApimartHook, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal of one of thousands isn't: they would flood the log."""
    sandbox.inject(Fault("rate_limited", on="balance", times=10, retry_after=0))
    transport = await opened(hook)
    with caplog.at_level(logging.INFO):
        try:
            await asyncio.gather(*(transport.run(retrying(balance, QUICK)) for _ in range(20)))
        finally:
            await transport.close()
    told = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_apimart")]
    assert len(told) == 1
    assert "reads a second" in told[0]


async def test_many_flows_share_one_session_and_a_limit(sandbox: Sandbox, hook: ApimartHook) -> None:
    transport = await opened(hook)
    try:
        found = await asyncio.gather(*(transport.run(retrying(balance, QUICK)) for _ in range(200)))
    finally:
        await transport.close()
    assert [left.remaining for left in found] == [Decimal(100)] * 200


async def test_a_pause_of_one_conversation_leaves_the_others_alone(sandbox: Sandbox, hook: ApimartHook) -> None:
    transport = await opened(hook)
    try:
        sandbox.inject(Fault("bad_gateway", on="balance"))
        waiting = asyncio.create_task(
            transport.run(retrying(balance, RetryPolicy(first=1e9, longest=1e9, seconds=1e12)))
        )
        while not sandbox.requests:  # noqa: ASYNC110 - the sandbox lives in a thread and sets no event of this loop
            await asyncio.sleep(0.01)
        assert (await transport.run(balance())).remaining == Decimal(100)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    finally:
        await transport.close()


async def test_a_transport_that_is_not_open_says_so(hook: ApimartHook) -> None:
    with pytest.raises(RuntimeError, match="open"):
        await AiohttpTransport(await hook.get_async_settings()).run(balance())


async def test_what_has_to_happen_before_a_post_happens_before_every_post(sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.inject(Fault("bad_gateway", on="submit"))
    sent: list[int] = []

    async def note() -> None:
        sent.append(len(sandbox.requests))

    async with AiohttpTransport(await hook.get_async_settings()) as transport:
        await transport.run(balance(), before_post=note)
        await transport.run(submit(Modality.IMAGE, PAYLOAD, "k", QUICK), before_post=note)
    assert sent == [1, 2]
    assert [request.method for request in sandbox.requests] == ["GET", "POST", "POST"]


async def test_what_fails_before_a_post_keeps_it_from_being_sent(sandbox: Sandbox, hook: ApimartHook) -> None:
    """The flow isn't told: it would take the error for the service's and try again."""

    async def fail() -> None:
        raise errors.ApimartServerError("the ledger can't be written")

    async with AiohttpTransport(await hook.get_async_settings()) as transport:
        with pytest.raises(errors.ApimartServerError, match="ledger"):
            await transport.run(submit(Modality.IMAGE, PAYLOAD, "k", QUICK), before_post=fail)
    assert not sandbox.requests
