from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.balance import balance
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import retrying
from airflow_provider_apimart.api.status_request import StatusRoutes
from airflow_provider_apimart.api.waiting import Wait, read_status_with_retries
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox

from .support import PAYLOAD, QUICK, Holder, http, in_trigger, in_worker, quick_hook, wire

BLIPS: dict[str, dict[str, Any]] = {
    "closed before reading": {"kind": "closed_before_reading"},
    "429": {"kind": "rate_limited", "retry_after": 0.0},
    "429 as a date": {"kind": "rate_limited", "retry_after": 0.0, "retry_after_date": True},
    "500": {"kind": "server_error"},
    "502": {"kind": "bad_gateway"},
    "503": {"kind": "unavailable", "retry_after": 0.0},
    "504": {"kind": "gateway_timeout"},
    "408": {"kind": "request_timeout"},
    "400 channel": {"kind": "get_channel_failed"},
    "html page": {"kind": "html_error"},
    "lost answer": {"kind": "lost_answer"},
    "no answer": {"kind": "no_answer", "seconds": 5.0},
    "truncated": {"kind": "truncated"},
    "reset": {"kind": "reset"},
    "garbage": {"kind": "garbage"},
    "garbage body": {"kind": "garbage_body"},
    "endless": {"kind": "endless", "seconds": 5.0},
    "oversized": {"kind": "oversized"},
    "error inside a 200": {"kind": "error_in_200"},
    "success false": {"kind": "success_false"},
}
FINAL: dict[str, tuple[str, type[errors.ApimartError]]] = {
    "401": ("unauthorized", errors.ApimartAuthenticationError),
    "402": ("insufficient_balance", errors.ApimartBalanceError),
    "403": ("forbidden", errors.ApimartPermissionError),
    "redirect": ("redirect", errors.ApimartConfigurationError),
}


def hook_for(row: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ApimartHook:
    """Return a hook that waits for a short time only where a reply never comes."""
    extra = {"timeout": 1.5} if row in ("no answer", "endless") else None
    return quick_hook(monkeypatch, sandbox.base_url, extra=extra)


def look(hook: ApimartHook, holder: Holder, generation_id: str) -> Any:
    return holder(hook, read_status_with_retries(Wait(generation_id, started_at=0.0), StatusRoutes(), QUICK))


@pytest.mark.parametrize("row", BLIPS)
def test_a_status_is_read_through_every_blip(
    row: str, sandbox: Sandbox, hook: ApimartHook, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    submission = hook.submit_generation("image", PAYLOAD, idempotency_key="k")
    sandbox.complete_all()
    sandbox.inject(Fault(**BLIPS[row], on="status", times=2))
    generation_id = submission.generation.generation_id
    assert generation_id is not None
    chosen = hook_for(row, sandbox, monkeypatch)
    assert look(chosen, holder, generation_id).outputs[0].url == sandbox.generations[0].urls[0]
    assert len([request for request in sandbox.requests if request.route == "status"]) == 3


# A whole reply before the cut keeps the connection in the pool, so that the next request may get lost unseen.
UNSEEN = ("garbage body",)
STEADY = [row for row in BLIPS if row not in ("no answer", "endless", "oversized", "429", "429 as a date", *UNSEEN)]
CUT = ("closed before reading", "lost answer", "reset")


def statuses_read_until_given_up(row: str, sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> int:
    generation_id = hook.submit_generation("image", PAYLOAD, idempotency_key="k").generation.generation_id
    assert generation_id is not None
    sandbox.inject(Fault(**BLIPS[row], on="status", times=100))
    with pytest.raises(errors.ApimartStatusUnreadableError, match=generation_id):
        look(hook, holder, generation_id)
    return len([request for request in sandbox.requests if request.route == "status"])


@pytest.mark.parametrize("row", STEADY)
def test_a_status_that_stays_unreadable_keeps_the_generation(row: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    assert statuses_read_until_given_up(row, sandbox, hook, in_worker) == QUICK.max_requests


# A GET on a connection that is cut is sent once more by aiohttp itself, which is harmless; see the test of a cut POST.
@pytest.mark.parametrize("row", [row for row in STEADY if row not in CUT])
def test_nothing_repeats_beneath_the_trigger_s_transport(row: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    assert statuses_read_until_given_up(row, sandbox, hook, in_trigger) == QUICK.max_requests


@pytest.mark.parametrize("row", FINAL)
@pytest.mark.parametrize("route", ["status", "balance"])
def test_what_is_final_ends_a_read_at_once(
    row: str, route: str, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    fault, kind = FINAL[row]
    sandbox.inject(Fault(fault, on=route, times=100))
    with pytest.raises(errors.ApimartError) as raised:
        _ = look(hook, holder, "task_1") if route == "status" else holder(hook, retrying(balance, QUICK))
    assert type(raised.value) is kind
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_id_is_reported_after_every_route_was_asked(
    status: int, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    sandbox.configure(unknown_task_status=status)
    with pytest.raises(errors.ApimartGenerationNotFoundError) as raised:
        look(hook, holder, "task_1")
    assert raised.value.generation_id == "task_1"
    # Today's route, and the older one of each modality.
    assert len(sandbox.requests) == (1 + len(Modality)) * QUICK.max_requests


def test_a_forgotten_id_is_reported(sandbox: Sandbox, hook: ApimartHook) -> None:
    generation_id = hook.submit_generation("image", PAYLOAD, idempotency_key="k").generation.generation_id
    assert generation_id is not None
    sandbox.advance(10 * 86_400)
    with pytest.raises(errors.ApimartGenerationNotFoundError, match="few days"):
        hook.get_generation(generation_id)


@pytest.mark.parametrize("row", BLIPS)
def test_a_balance_is_read_through_every_blip(
    row: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    sandbox.inject(Fault(**BLIPS[row], on="balance"))
    chosen = hook_for(row, sandbox, monkeypatch)
    assert holder(chosen, retrying(balance, QUICK)).remaining == Decimal(100)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    ("key", "remaining"),
    [("sk-sandbox-key", Decimal(100)), ("sk-sandbox-empty", Decimal(0)), ("sk-sandbox-unlimited", None)],
)
def test_get_balance(key: str, remaining: Decimal | None, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    left = quick_hook(monkeypatch, sandbox.base_url, password=key).get_balance()
    assert left.remaining == remaining
    assert left.unlimited is (remaining is None)
    assert left.used == 0


def test_a_read_that_was_never_sent_is_reported_as_such(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    hook = quick_hook(monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(errors.ApimartConnectionError):
        holder(hook, balance())


# What the service says to a test of the connection: raw reply, whether it works, and what the sentence holds.
SENTENCES: dict[str, tuple[bytes, bool, str]] = {
    "ok": (http("200 OK", b'{"success":true,"remain_balance":10.5}'), True, "$10.50"),
    "thousands": (http("200 OK", b'{"remain_balance":12345.678}'), True, "$12,345.678"),
    "unlimited": (http("200 OK", b'{"unlimited_quota":true,"remain_balance":-1}'), True, "no spending limit"),
    "nothing left": (http("200 OK", b'{"remain_balance":0}'), False, "nothing is left"),
    "401": (
        http("401 no", b'{"error":{"message":"invalid API key","code":""}}'),
        False,
        "does not accept the API key; check the API key",
    ),
    "402": (http("402 no", b'{"error":{"message":"insufficient balance"}}'), False, "top it up"),
    "403": (http("403 no", b'{"error":{"message":"IP not allowed"}}'), False, "IP not allowed"),
    "success false": (
        http("200 OK", b'{"success":false,"message":"no such token"}'),
        False,
        "could not read the balance",
    ),
    "429": (http("429 no", b"", headers="Retry-After: 100\r\n"), False, "less often"),
    "500": (http("500 no", b""), False, "500"),
    "html": (http("502 no", b"<html>Bad Gateway</html>"), False, "Bad Gateway"),
    "no balance": (http("200 OK", b"{}"), False, "not APIMart's"),
    "redirect": (http("302 Found", headers="Location: https://elsewhere\r\n"), False, "redirect"),
    "lost": (b"", False, "No complete reply"),
}


@pytest.mark.parametrize("what", SENTENCES)
def test_test_connection_says_it_in_a_sentence(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, works, said = SENTENCES[what]
    with wire(answer) as server:
        status, message = quick_hook(monkeypatch, server.url).test_connection()
    assert status is works
    assert said in message
    assert "sk-sandbox-key" not in message
    assert len(server.received) == 1


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://no-such-host.invalid", "https://no-such-host.invalid"])
def test_test_connection_explains_what_cannot_be_reached(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    status, message = quick_hook(monkeypatch, host).test_connection()
    assert status is False
    assert f"couldn't be reached at {host}" in message
    assert "check the connection's host" in message
    assert "host" in message


@pytest.mark.parametrize(("password", "extra"), [("", None), ("sk-x", {"timeout": -1})])
def test_test_connection_explains_a_bad_connection(
    password: str, extra: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, message = quick_hook(monkeypatch, "", password=password, extra=extra).test_connection()
    assert status is False
    assert "'apimart_default'" in message


def test_test_connection_explains_a_connection_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_APIMART_DEFAULT", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "http://x")
    status, message = ApimartHook("apimart_missing_one").test_connection()
    assert status is False
    assert "apimart_missing_one" in message
