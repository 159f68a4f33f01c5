from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.submission import SUBMIT_POLICY, submit

from .driver import Clock, Held, error_reply, reply, run_flow
from .shapes import RECORDED_SUBMIT, TASK_ID

LOST = errors.ApimartUnknownOutcomeError("The submit was sent, but no whole reply came back: reset")
UNREACHED = errors.ApimartConnectionError("APIMart couldn't be reached, and nothing was sent: refused")
OK = reply(RECORDED_SUBMIT)
IN_PROGRESS = error_reply(409, "in progress", "idempotency_in_progress", Retry_After="2")
INDETERMINATE = error_reply(409, "indeterminate", "idempotency_result_indeterminate")
PAYLOAD = {"model": "m", "prompt": "Füchse", "n": 1}


def submitted(*answers: Any, policy: RetryPolicy = SUBMIT_POLICY, clock: Clock) -> Held:
    return run_flow(submit(Modality.IMAGE, PAYLOAD, "key-1", policy), answers, clock=clock)


REPEATED: dict[str, Reply | errors.ApimartError] = {
    "nothing sent": UNREACHED,
    "lost reply": LOST,
    "429": error_reply(429, "slow down", 429),
    "409 in progress": IN_PROGRESS,
    "503 keys unavailable": error_reply(503, "no", "idempotency_unavailable"),
    "503 keys unavailable by message": error_reply(503, "idempotency_unavailable: no"),
    "400 channel": error_reply(400, "no", "get_channel_failed"),
    "400 channel by message": error_reply(400, "get_channel_failed: no"),
    "500": error_reply(500, "internal", 500),
    "502": error_reply(502),
    "503": error_reply(503),
    "504": error_reply(504),
    "520": error_reply(520),
    "408": error_reply(408),
    "409 without code": error_reply(409),
    "html 502": reply(b"<html><h1>502 Bad Gateway</h1></html>", 502),
    "200 without id": reply({"code": 200}),
    "200 with an error": reply({"error": {"message": "x", "code": "upstream_error"}}),
    "200 with a server's error": reply({"error": {"message": "x", "type": "server_error"}}),
    "400 without json": reply(b"bad", 400),
    "307 to another path": reply(b"", 307, Location="https://elsewhere"),
    "empty 200": reply(b""),
}


@pytest.mark.parametrize("what", REPEATED)
def test_what_may_pass_is_repeated_with_identical_bytes_and_key(what: str, clock: Clock) -> None:
    trouble = REPEATED[what]
    held = submitted(trouble, trouble, OK, clock=clock)
    assert held.error is None
    assert held.value.generation.generation_id == TASK_ID
    assert len(held.requests) == 3
    assert len(set(held.bodies)) == 1
    assert {request.headers["Idempotency-Key"] for request in held.requests} == {"key-1"}
    assert {request.path for request in held.requests} == {"/v1/images/generations"}


FINAL: dict[str, tuple[Reply, type[errors.ApimartError]]] = {
    "400": (error_reply(400, "prompt is required", 400), errors.ApimartInvalidRequestError),
    "200 with success false": (reply({"success": False, "message": "no channel"}), errors.ApimartInvalidRequestError),
    "200 with an error": (
        reply({"error": {"message": "prompt is required", "type": "invalid_request_error", "code": "empty_prompt"}}),
        errors.ApimartInvalidRequestError,
    ),
    "401": (error_reply(401, "invalid API key", ""), errors.ApimartAuthenticationError),
    "402": (error_reply(402, "insufficient balance", 402), errors.ApimartBalanceError),
    "403": (error_reply(403, "no permission", 403), errors.ApimartPermissionError),
    "404": (error_reply(404, "model not found", 404), errors.ApimartInvalidRequestError),
    "413": (error_reply(413, "too large"), errors.ApimartInvalidRequestError),
    "422": (error_reply(422, "bad value", 422), errors.ApimartInvalidRequestError),
    "422 moderation": (error_reply(422, "sensitive content detected", 422), errors.ApimartModerationError),
    "400 moderation": (error_reply(400, "x", "nsfw_content_detected"), errors.ApimartModerationError),
    "400 moderation by message": (error_reply(400, "nsfw_content_detected: x"), errors.ApimartModerationError),
    "500 build_request_failed": (
        error_reply(500, "build_request_failed: invalid size", 500),
        errors.ApimartInvalidRequestError,
    ),
    "500 build_request_failed as code": (
        error_reply(500, "ungültig", "build_request_failed"),
        errors.ApimartInvalidRequestError,
    ),
    "500 moderation": (
        error_reply(500, "build_request_failed: content moderation failed: x", 500),
        errors.ApimartModerationError,
    ),
    "409 key reused": (error_reply(409, "x", "idempotency_key_reused"), errors.ApimartIdempotencyKeyReusedError),
    "409 indeterminate": (INDETERMINATE, errors.ApimartIndeterminateOutcomeError),
    "401 inside 200": (
        reply({"error": {"code": 401, "message": "invalid API key"}}),
        errors.ApimartAuthenticationError,
    ),
    "402 as code inside 200": (reply({"code": 402, "message": "insufficient balance"}), errors.ApimartBalanceError),
    "402 as text inside 200": (reply({"error": {"code": "402", "message": "x"}}), errors.ApimartBalanceError),
}


@pytest.mark.parametrize("what", FINAL)
def test_what_cannot_pass_ends_it_at_once(what: str, clock: Clock) -> None:
    refusal, kind = FINAL[what]
    held = submitted(refusal, OK, clock=clock)
    assert type(held.error) is kind
    assert len(held.requests) == 1
    assert held.pauses == []


@pytest.mark.parametrize("status", [203, 206, 207, 299])
def test_a_server_s_error_in_any_success_leaves_the_outcome_unknown(status: int, clock: Clock) -> None:
    body = {"error": {"message": "x", "type": "upstream_error"}}
    held = submitted(reply(body, status), clock=clock, policy=RetryPolicy(max_requests=1))
    assert isinstance(held.error, errors.ApimartUnknownOutcomeError)


def test_errors_carry_what_the_service_said(clock: Clock) -> None:
    body = {"error": {"message": "no permission for this model", "type": "t", "code": "forbidden"}, "request_id": "r-1"}
    error = submitted(reply(body, 403), clock=clock).error
    assert isinstance(error, errors.ApimartPermissionError)
    assert (error.status, error.code, error.request_id) == (403, "forbidden", "r-1")
    assert "no permission for this model" in str(error)


@pytest.mark.parametrize(
    "body",
    [b"", b"<p>no</p>", b"\xff\xfe", b"null", b"5", b'{"error":5}', b'{"error":[]}', b'{"error":{"message":["x"]}}'],
)
def test_a_400_that_is_not_apimart_s_still_has_a_message_and_the_header_s_request_id(body: bytes, clock: Clock) -> None:
    error = submitted(reply(body, 400, X_Oneapi_Request_Id="h-1"), clock=clock).error
    assert type(error) is errors.ApimartServerError
    assert error.request_id == "h-1"
    assert len(error.message) > 40


def test_a_long_message_is_cut(clock: Clock) -> None:
    error = submitted(error_reply(400, "x" * 100_000), clock=clock).error
    assert isinstance(error, errors.ApimartInvalidRequestError)
    assert len(str(error)) < 1_000


REFUSALS = {what: answer for what, (answer, _) in FINAL.items() if what != "409 indeterminate"}


@pytest.mark.parametrize("what", REFUSALS)
@pytest.mark.parametrize("lost", [LOST, error_reply(502), IN_PROGRESS, reply(b"")])
def test_a_refusal_after_a_lost_answer_stays_unknown(what: str, lost: Any, clock: Clock) -> None:
    held = submitted(lost, REFUSALS[what], clock=clock)
    assert type(held.error) is (
        # Repeating a key that is taken for another request never helps: a person has to look.
        errors.ApimartIndeterminateOutcomeError if "key reused" in what else errors.ApimartUnknownOutcomeError
    )
    assert len(held.requests) == 2


def test_indeterminate_after_a_lost_answer_stays_indeterminate(clock: Clock) -> None:
    held = submitted(LOST, INDETERMINATE, clock=clock)
    assert type(held.error) is errors.ApimartIndeterminateOutcomeError


def test_giving_up_unreached_after_a_lost_answer_stays_unknown(clock: Clock) -> None:
    held = submitted(LOST, UNREACHED, clock=clock)
    assert type(held.error) is errors.ApimartUnknownOutcomeError
    assert len(held.requests) == SUBMIT_POLICY.max_requests


def test_never_reached_is_no_unknown_outcome(clock: Clock) -> None:
    held = submitted(UNREACHED, clock=clock)
    assert type(held.error) is errors.ApimartConnectionError
    assert len(held.requests) == SUBMIT_POLICY.max_requests


def test_a_lost_answer_is_repeated_a_bounded_number_of_times(clock: Clock) -> None:
    held = submitted(LOST, clock=clock)
    assert type(held.error) is errors.ApimartUnknownOutcomeError
    assert len(held.requests) == SUBMIT_POLICY.max_unknown < SUBMIT_POLICY.max_requests
    assert sum(held.pauses) <= SUBMIT_POLICY.seconds


def test_a_rate_limit_without_end_ends(clock: Clock) -> None:
    held = submitted(error_reply(429, "slow down", 429, Retry_After="30"), clock=clock)
    assert type(held.error) is errors.ApimartRateLimitError
    assert len(held.requests) > SUBMIT_POLICY.max_requests
    assert sum(held.pauses) <= SUBMIT_POLICY.rate_limited_seconds


def test_retry_after_of_a_reply_is_waited_for(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    limited = error_reply(429, "x", 429, Retry_After="7")
    date = error_reply(429, "x", 429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")
    assert submitted(limited, IN_PROGRESS, date, OK, clock=clock).pauses == [7.0, 2.0, 0.0]


@pytest.mark.parametrize("lost", [LOST, error_reply(500), reply(b"")])
def test_nothing_is_sent_again_where_unknown_must_not_be_repeated(lost: Any, clock: Clock) -> None:
    held = submitted(lost, OK, policy=replace(SUBMIT_POLICY, max_unknown=1), clock=clock)
    assert type(held.error) is errors.ApimartUnknownOutcomeError
    assert len(held.requests) == 1


@pytest.mark.parametrize("harmless", ["nothing sent", "429", "409 in progress", "503 keys unavailable", "400 channel"])
def test_the_harmless_is_repeated_even_then(harmless: str, clock: Clock) -> None:
    held = submitted(REPEATED[harmless], OK, policy=replace(SUBMIT_POLICY, max_unknown=1), clock=clock)
    assert held.error is None
    assert len(held.requests) == 2


def test_a_repetition_that_was_taken_as_new_is_reported(clock: Clock) -> None:
    replayed = reply(RECORDED_SUBMIT, Idempotency_Replayed="true")
    assert submitted(LOST, OK, clock=clock).value.may_be_paid_twice
    assert not submitted(LOST, replayed, clock=clock).value.may_be_paid_twice
    assert not submitted(OK, clock=clock).value.may_be_paid_twice
    assert not submitted(UNREACHED, OK, clock=clock).value.may_be_paid_twice


def test_a_submit_in_progress_is_waited_for(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    held = submitted(LOST, *[IN_PROGRESS] * 5, OK, clock=clock)
    assert held.error is None
    assert held.pauses[1:] == [2.0] * 5


@pytest.mark.parametrize("max_unknown", [1, 4])
def test_a_submit_in_progress_without_end_is_an_unknown_outcome(max_unknown: int, clock: Clock) -> None:
    held = submitted(IN_PROGRESS, policy=replace(SUBMIT_POLICY, max_unknown=max_unknown), clock=clock)
    assert type(held.error) is errors.ApimartSubmitInProgressError
    assert isinstance(held.error, errors.ApimartUnknownOutcomeError)
    assert len(held.requests) == SUBMIT_POLICY.max_requests
    assert len(set(held.bodies)) == 1


def test_what_is_lost_after_a_submit_in_progress_is_not_sent_again_where_that_is_forbidden(clock: Clock) -> None:
    held = submitted(IN_PROGRESS, LOST, OK, policy=replace(SUBMIT_POLICY, max_unknown=1), clock=clock)
    assert type(held.error) is errors.ApimartUnknownOutcomeError
    assert len(held.requests) == 2


def test_half_an_emoji_in_a_prompt_is_sent_or_refused(clock: Clock) -> None:
    held = run_flow(submit(Modality.IMAGE, {"model": "m", "prompt": "fox \ud83e"}, "k"), [OK], clock=clock)
    assert held.error is None or isinstance(held.error, errors.ApimartInvalidRequestError)
