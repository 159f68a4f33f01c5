"""Replies of intermediaries aren't taken for those of APIMart, over both transports."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes
from airflow_provider_apimart.api.submission import submit
from airflow_provider_apimart.api.waiting import Wait, read_status_with_retries

from .support import PAYLOAD, QUICK, Holder, http, quick_hook, wire

pytestmark = pytest.mark.slow

ONCE = RetryPolicy(max_requests=1)
PAGE = b"<html><head><title>Just a moment...</title></head><body>%s</body></html>" % (b"x" * 500)
CLOUDFLARE = "Server: cloudflare\r\nContent-Type: text/html\r\n"
DONE = http("200 OK", b'{"data":{"id":"task_1","status":"completed","result":{"images":[{"url":"https://x/a.png"}]}}}')
ACCEPTED = http("200 OK", b'{"data":[{"task_id":"task_1"}]}')

PAGES: dict[str, bytes] = {
    "401 page": http("401 Unauthorized", PAGE, headers=CLOUDFLARE),
    "403 page": http("403 Forbidden", PAGE, headers=CLOUDFLARE),
    "404 page": http("404 Not Found", b"<html><title>404 Not Found</title>nginx</html>", headers="Server: nginx\r\n"),
    "407 page": http("407 Proxy Authentication Required", PAGE, headers="Server: squid\r\n"),
    "302": http("302 Found", headers="Location: https://login.example/?next=/v1\r\nServer: portal\r\n"),
    "403 text": http("403 Forbidden", b"Access denied", headers="Via: 1.1 guard\r\n"),
    "403 JSON": http("403 Forbidden", b'{"message":"Forbidden"}', headers="Server: awselb\r\n"),
    "404 JSON": http("404 Not Found", b'{"status":404,"error":"Not Found","path":"/"}', headers="Server: spring\r\n"),
    "401 nothing": http("401 Unauthorized", headers="Server: nothing\r\n"),
    "403 list of errors": http(
        "403 Forbidden",
        b'{"success":false,"errors":[{"code":1020,"message":"Access denied"}],"messages":[],"result":null}',
        headers="Server: cloudflare\r\n",
    ),
    "403 word for the status": http(
        "403 Forbidden",
        b'{"error":{"code":403,"message":"Permission denied on the gateway","status":"PERMISSION_DENIED"}}',
        headers="Server: nginx\r\n",
    ),
    "404 no route": http(
        "404 Not Found", b'{"message":"no Route matched with those values"}', headers="Server: nginx\r\n"
    ),
    "403 a word": http("403 Forbidden", b'{"error":"Forbidden"}', headers="Server: nothing\r\n"),
    "413 page": http("413 Too Large", PAGE, headers="Server: nginx\r\n"),
}


def look(hook: Any, holder: Holder) -> Any:
    wait = Wait("task_1", started_at=0.0, modality=Modality.IMAGE)
    return holder(hook, read_status_with_retries(wait, StatusRoutes(), QUICK))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_a_blip_for_a_read(page: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    # A 404 may also be a route's that this installation lacks, so the others are asked as well.
    answers = [PAGES[page]] * (2 if page.startswith("404") else 1)
    with wire(*answers, DONE) as server:
        assert look(quick_hook(monkeypatch, server.url), holder).urls == ["https://x/a.png"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_stays_names_who_answered(page: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(PAGES[page]) as server, pytest.raises(errors.ApimartStatusUnreadableError) as raised:
        look(quick_hook(monkeypatch, server.url), holder)
    said = str(raised.value)
    who = next(
        name
        for name in ("cloudflare", "nginx", "squid", "portal", "guard", "awselb", "spring", "nothing")
        if name.encode() in PAGES[page]
    )
    assert who in said
    assert f"127.0.0.1:{server.port}" in said
    assert ("Just a moment" in said) is (b"Just a moment" in PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_before_a_submit_is_got_through(page: str, monkeypatch: pytest.MonkeyPatch, holder: Holder) -> None:
    with wire(PAGES[page], ACCEPTED) as server:
        submission = holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", QUICK))
    assert submission.generation.generation_id == "task_1"
    assert not submission.after_lost_try
    assert [request.count(b"key-1") for request in server.received] == [1, 1]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_stays_before_a_submit_charged_nothing(
    page: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(PAGES[page]) as server, pytest.raises(errors.ApimartServerError, match="Nothing was charged"):
        holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", ONCE))


@pytest.mark.parametrize("status", ["408 no", "409 no", "500 no", "502 no", "504 no", "200 OK"])
def test_a_page_that_may_stand_for_a_lost_reply_leaves_a_submit_unknown(
    status: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    with wire(http(status, PAGE)) as server, pytest.raises(errors.ApimartUnknownOutcomeError, match="Just a moment"):
        holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", ONCE))


REFUSED: dict[str, tuple[bytes, type[errors.ApimartError], str]] = {
    "error object": (
        b'{"error":{"message":"prompt is required","type":"invalid_request_error","code":"empty_prompt"}}',
        errors.ApimartInvalidRequestError,
        "prompt is required",
    ),
    "success false": (b'{"success":false,"message":"no channel"}', errors.ApimartInvalidRequestError, "no channel"),
    "national encoding": (
        '{"error":{"message":"余额不足","type":"payment_required"}}'.encode("gbk"),
        errors.ApimartBalanceError,
        "\ufffd",
    ),
    "quota": (b'{"error":{"message":"out","code":"insufficient_user_quota"}}', errors.ApimartBalanceError, "out"),
    "key": (b'{"error":{"message":"bad","type":"authentication_error"}}', errors.ApimartAuthenticationError, "bad"),
    "model": (b'{"error":{"message":"mine","type":"permission_error"}}', errors.ApimartPermissionError, "mine"),
    "unknown type": (b'{"error":{"message":"nope","type":"apimart_error"}}', errors.ApimartInvalidRequestError, "nope"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_error_inside_a_success_is_apimart_s_refusal(
    what: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    body, kind, said = REFUSED[what]
    with wire(http("200 OK", body)) as server, pytest.raises(kind) as raised:
        holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", QUICK))
    assert str(raised.value).startswith(said)
    assert len(server.received) == 1


@pytest.mark.parametrize("target", ["https://api.example", "http://other.example:8080/prefix"])
def test_a_base_url_that_redirects_names_the_base_url_to_set(
    target: str, monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    moved = http("301 Moved", headers=f"Location: {target}/v1/images/generations\r\n")
    with wire(moved) as server, pytest.raises(errors.ApimartConfigurationError) as raised:
        holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", QUICK))
    assert f"set the connection's host to {target}." in str(raised.value)
    assert len(server.received) == 1


def test_a_key_that_was_accepted_with_another_body_is_an_unknown_outcome(
    monkeypatch: pytest.MonkeyPatch, holder: Holder
) -> None:
    body = b'{"error":{"message":"this key came with a different body","code":"idempotency_key_reused"}}'
    with wire(http("409 Conflict", body)) as server, pytest.raises(errors.ApimartIndeterminateOutcomeError) as raised:
        holder(quick_hook(monkeypatch, server.url), submit(Modality.IMAGE, PAYLOAD, "key-1", QUICK))
    assert "may run and be charged" in str(raised.value)
    assert "Nothing was charged" not in str(raised.value)
