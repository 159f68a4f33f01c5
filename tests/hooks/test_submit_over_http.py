from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.submission import submit
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox

from .support import PAYLOAD, QUICK, Holder, http, quick_hook, wire


def submitted(hook: ApimartHook, holder: Holder, policy: Any = QUICK, **payload: Any) -> Any:
    return holder(hook, submit(Modality.IMAGE, {**PAYLOAD, **payload}, "key-1", policy))


def submits(sandbox: Sandbox) -> list[Any]:
    return [request for request in sandbox.requests if request.route == "submit"]


# Every row of the contract's error table: what the server does once, and that it is got through.
PASSES: dict[str, dict[str, Any]] = {
    "closed before reading": {"kind": "closed_before_reading"},
    "429 in seconds": {"kind": "rate_limited", "retry_after": 0.0},
    "429 as a date": {"kind": "rate_limited", "retry_after": 0.0, "retry_after_date": True},
    "409 in progress": {"kind": "idempotency_in_progress", "retry_after": 0.0},
    "503 idempotency unavailable": {"kind": "idempotency_unavailable", "retry_after": 0.0},
    "400 get_channel_failed": {"kind": "get_channel_failed"},
    "500 after accepting": {"kind": "server_error"},
    "500 before accepting": {"kind": "server_error", "when": "before"},
    "502 after accepting": {"kind": "bad_gateway"},
    "502 before accepting": {"kind": "bad_gateway", "when": "before"},
    "503 after accepting": {"kind": "unavailable", "retry_after": 0.0},
    "504 after accepting": {"kind": "gateway_timeout"},
    "408 after accepting": {"kind": "request_timeout"},
    "html page": {"kind": "html_error"},
    "lost answer": {"kind": "lost_answer"},
    "no answer": {"kind": "no_answer", "seconds": 30.0},
    "truncated": {"kind": "truncated"},
    "reset": {"kind": "reset"},
    "garbage": {"kind": "garbage"},
    "garbage body": {"kind": "garbage_body"},
    "endless": {"kind": "endless", "seconds": 30.0},
    "oversized": {"kind": "oversized"},
    "error inside a 200": {"kind": "error_in_200", "when": "after"},
}
SLOW = ("no answer", "endless")


def hook_for(row: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ApimartHook:
    """Return a hook that waits for a short time only where a reply never comes."""
    return quick_hook(monkeypatch, sandbox.base_url, extra={"timeout": 2} if row in SLOW else None)


@pytest.mark.parametrize("row", PASSES)
def test_what_passes_is_got_through_and_billed_once(
    row: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    sandbox.inject(Fault(**PASSES[row]))
    submission = submitted(hook_for(row, sandbox, monkeypatch), holder)
    assert sandbox.accepted == sandbox.billed == 1
    assert submission.generation.generation_id == sandbox.generations[0].generation_id
    first, second = submits(sandbox)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == "key-1"
    assert second.payload == PAYLOAD
    assert first.payload in (PAYLOAD, None)


UNKNOWN = {row: fault for row, fault in PASSES.items() if not row.startswith(("429", "503 idempotency", "400", "409"))}


@pytest.mark.parametrize("row", UNKNOWN)
def test_an_unknown_outcome_is_not_repeated_where_that_is_forbidden(
    row: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    sandbox.inject(Fault(**UNKNOWN[row]))
    with pytest.raises(errors.ApimartUnknownOutcomeError) as raised:
        submitted(hook_for(row, sandbox, monkeypatch), holder, replace(QUICK, max_unknown=1))
    assert type(raised.value) is errors.ApimartUnknownOutcomeError
    assert len(submits(sandbox)) == 1
    assert sandbox.accepted == (
        0 if row in ("closed before reading", "500 before accepting", "502 before accepting") else 1
    )


@pytest.mark.parametrize("row", ["lost answer", "502 after accepting", "truncated"])
def test_an_outcome_that_stays_unknown_is_reported_as_such(
    row: str, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    sandbox.inject(Fault(**PASSES[row], times=100))
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        submitted(hook, holder)
    assert sandbox.accepted == 1
    assert len(submits(sandbox)) == min(QUICK.max_requests, QUICK.max_unknown)


FINAL: dict[str, tuple[str, type[errors.ApimartError], int]] = {
    "400": ("prompt_required", errors.ApimartInvalidRequestError, 400),
    "401": ("unauthorized", errors.ApimartAuthenticationError, 401),
    "402": ("insufficient_balance", errors.ApimartBalanceError, 402),
    "403": ("forbidden", errors.ApimartPermissionError, 403),
    "404": ("model_not_found", errors.ApimartInvalidRequestError, 404),
    "413": ("too_large", errors.ApimartInvalidRequestError, 413),
    "422 moderation": ("unprocessable", errors.ApimartModerationError, 422),
    "400 moderation": ("nsfw_content_detected", errors.ApimartModerationError, 400),
    "500 build_request_failed": ("build_request_failed", errors.ApimartInvalidRequestError, 500),
    "500 moderation": ("moderation_failed", errors.ApimartModerationError, 500),
    "409 key reused": ("idempotency_key_reused", errors.ApimartIdempotencyKeyReusedError, 409),
}


@pytest.mark.parametrize("row", FINAL)
def test_what_is_final_ends_it_at_once_and_charges_nothing(
    row: str, sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    kind, error, status = FINAL[row]
    sandbox.inject(Fault(kind, times=100))
    with pytest.raises(errors.ApimartError) as raised:
        submitted(hook, holder)
    assert type(raised.value) is error
    assert raised.value.status == status
    assert raised.value.request_id
    assert len(submits(sandbox)) == 1
    assert sandbox.accepted == sandbox.billed == 0


def test_an_indeterminate_outcome_stops_it(sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> None:
    sandbox.inject(Fault("idempotency_result_indeterminate"))
    with pytest.raises(errors.ApimartIndeterminateOutcomeError) as raised:
        submitted(hook, holder)
    assert raised.value.code == "idempotency_result_indeterminate"
    assert len(submits(sandbox)) == 1
    assert sandbox.accepted == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("forbidden", errors.ApimartUnknownOutcomeError),
        ("insufficient_balance", errors.ApimartUnknownOutcomeError),
        ("invalid_request", errors.ApimartUnknownOutcomeError),
        ("idempotency_key_reused", errors.ApimartIndeterminateOutcomeError),
    ],
)
def test_a_refusal_after_a_lost_answer_stays_unknown(
    fault: str, error: type[errors.ApimartError], sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    sandbox.inject(Fault("lost_answer"), Fault(fault, times=100))
    with pytest.raises(errors.ApimartUnknownOutcomeError) as raised:
        submitted(hook, holder)
    assert type(raised.value) is error
    assert sandbox.accepted == 1
    assert len(submits(sandbox)) == 2


def test_a_real_quoted_number_is_refused_with_the_service_s_words(
    sandbox: Sandbox, hook: ApimartHook, holder: Holder
) -> None:
    with pytest.raises(errors.ApimartInvalidRequestError, match="n"):
        submitted(hook, holder, n="1")
    assert sandbox.accepted == 0


def test_the_same_key_with_another_body_is_a_bug_of_ours(sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> None:
    submitted(hook, holder)
    with pytest.raises(errors.ApimartIdempotencyKeyReusedError):
        submitted(hook, holder, prompt="another")
    assert sandbox.accepted == 1


def test_a_repetition_is_reported_as_a_replay(sandbox: Sandbox, hook: ApimartHook, holder: Holder) -> None:
    first, second = submitted(hook, holder), submitted(hook, holder)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.generation.generation_id == second.generation.generation_id
    assert sandbox.billed == 1


@pytest.mark.parametrize(
    ("where", "kind"),
    [("http://127.0.0.1:1", "refused"), ("https://{host}", "no TLS"), ("http://no-such-host.invalid", "no such host")],
)
def test_what_was_never_sent_is_no_unknown_outcome(
    where: str, kind: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(b"HTTP/1.1 400 no\r\n\r\n") as server:
        hook = quick_hook(monkeypatch, where.format(host=f"127.0.0.1:{server.port}"))
        with pytest.raises(errors.ApimartConnectionError, match="nothing was sent") as raised:
            submitted(hook, holder, replace(QUICK, max_requests=2))
    assert type(raised.value) is errors.ApimartConnectionError, kind


def test_a_repetition_sends_the_very_same_bytes(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(
        http("503 no", b'{"error":{"message":"idempotency_unavailable"}}'), http("200 OK", b'{"id":"task_1"}')
    ) as server:
        submission = submitted(quick_hook(monkeypatch, server.url), holder)
    assert submission.generation.generation_id == "task_1"
    bodies = [received.partition(b"\r\n\r\n")[2] for received in server.received]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1] != b""


def test_the_request_as_it_travels(monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(http("200 OK", b'{"id":"task_1"}')) as server:
        submitted(quick_hook(monkeypatch, f"{server.url}/v1/", extra={"headers": {"X-Team": "fox"}}), holder)
    (received,) = server.received
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/images/generations HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert sent["authorization"] == "Bearer sk-sandbox-key"
    assert sent["content-type"] == "application/json"
    assert sent["content-length"] == str(len(body))
    assert "transfer-encoding" not in sent
    assert sent["x-team"] == "fox"
    assert sent["x-apimart-response-version"] == "2026-07-27"
    assert sent["user-agent"].startswith("airflow-provider-apimart/")
    assert "apache-airflow/" in sent["user-agent"]


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted"])
@pytest.mark.parametrize("headers", ["", "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n"])
def test_a_reply_in_every_encoding(status: str, headers: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    body, length = b'{"data":[{"task_id":"task_1"}]}', None
    if "gzip" in headers:
        body = gzip.compress(body)
    if "chunked" in headers:
        body, length = b"5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n", -1
    with wire(http(status, body, headers=headers, length=length)) as server:
        submission = submitted(quick_hook(monkeypatch, server.url), holder)
    assert submission.generation.generation_id == "task_1"
