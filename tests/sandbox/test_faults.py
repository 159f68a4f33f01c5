"""Faults, as a raw client meets them."""

from __future__ import annotations

import itertools
import json
import socket
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.faults import CONNECTION_FAULTS, FaultPlan, parse_fault
from airflow_provider_apimart.sandbox.service.replies import ERRORS

from .support import Client, fetch, picture

BODY = json.dumps({"model": "gemini-3-pro-image-preview", "prompt": "a fox"}).encode()


def raw_submit(sandbox: Sandbox, *, body: bytes = BODY, timeout: float = 5) -> bytes:
    """Submit over a bare socket; return all that comes back until the other side closes."""
    address = urlsplit(sandbox.base_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=timeout) as connection:
        head = f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sandbox.api_key}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


@pytest.mark.parametrize(("when", "accepted"), [("after", 1), ("before", 0), (None, 1)])
def test_lost_answer(sandbox: Sandbox, when: str | None, accepted: int) -> None:
    sandbox.inject(Fault("lost_answer", when=when))  # type: ignore[arg-type]  # parametrized strings

    assert raw_submit(sandbox) == b""
    assert (sandbox.accepted, sandbox.billed) == (accepted, accepted)
    assert (sandbox.requests[0].status, sandbox.requests[0].fault) == (None, "lost_answer")


def test_reset_after_accepting(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("reset"))

    with pytest.raises(ConnectionResetError):
        raw_submit(sandbox)
    assert sandbox.accepted == 1


def test_closed_before_reading(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("closed_before_reading"))

    with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
        raw_submit(sandbox, body=BODY + b" " * 5_000_000)
    assert sandbox.accepted == 0


def test_truncated(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("truncated"))
    head, _, body = raw_submit(sandbox).partition(b"\r\n\r\n")

    promised = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert 0 < len(body) < promised
    assert sandbox.accepted == 1


def test_no_answer(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("no_answer", seconds=60))

    with pytest.raises(TimeoutError):
        raw_submit(sandbox, timeout=0.3)
    assert sandbox.accepted == 1


def test_no_answer_and_then_the_end(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("no_answer", seconds=0.1))

    assert raw_submit(sandbox) == b""


def test_garbage(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("garbage"), Fault("garbage_body"))

    assert not raw_submit(sandbox).startswith(b"HTTP")
    reply = client.submit()
    assert reply.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        reply.json()
    assert sandbox.accepted == 2


def test_oversized(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("oversized", size=40 * 1024 * 1024))

    assert len(client.submit().content) > 32 * 1024 * 1024


def test_endless(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("endless", seconds=60))
    url = f"{sandbox.base_url}/v1/images/generations"
    with client.session.post(url, data=BODY, stream=True, timeout=1) as reply:
        arrived = list(itertools.islice(reply.iter_content(1), 5))

    assert arrived == [b" "] * 5


def test_delayed(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("delayed", on="balance", seconds=0.3))
    started = time.monotonic()

    assert client.get("/v1/balance").status_code == 200
    assert time.monotonic() - started >= 0.3


def test_redirect_and_who_follows_it(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("redirect", on="status", times=2), Fault("redirect", location="https://other.example/"))
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = f"{sandbox.base_url}/v1/tasks/task_x"
    refused = requests.get(url, headers=headers, allow_redirects=False, timeout=5)
    requests.get(url, headers=headers, timeout=5)

    assert refused.status_code == 307
    assert refused.headers["Location"].startswith("http://localhost:")
    assert sandbox.file_requests[-1].path == "/elsewhere/v1/tasks/task_x"
    assert "Authorization" not in sandbox.file_requests[-1].headers
    assert Client(sandbox).submit().headers["Location"] == "https://other.example/"


UNKNOWN_OUTCOMES = [
    ("server_error", 500),
    ("bad_gateway", 502),
    ("unavailable", 503),
    ("gateway_timeout", 504),
    ("request_timeout", 408),
    ("html_error", 502),
    ("idempotency_result_indeterminate", 409),
]


@pytest.mark.parametrize(("kind", "status"), UNKNOWN_OUTCOMES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_unknown_outcomes_before_and_after_accepting(client: Client, kind: str, status: int, when: str) -> None:
    client.sandbox.inject(Fault(kind, when=when))  # type: ignore[arg-type]  # parametrized strings
    first = client.submit(key="k-1")
    again = client.submit(key="k-1")

    assert (first.status_code, again.status_code) == (status, 200)
    assert ("Idempotency-Replayed" in again.headers) == (when == "after")
    assert client.sandbox.accepted == 1


KNOWN_OUTCOMES = [
    ("unauthorized", 401),
    ("insufficient_balance", 402),
    ("forbidden", 403),
    ("not_found", 404),
    ("too_large", 413),
    ("unprocessable", 422),
    ("get_channel_failed", 400),
    ("nsfw_content_detected", 400),
    ("build_request_failed", 500),
    ("moderation_failed", 500),
    ("idempotency_unavailable", 503),
    ("idempotency_in_progress", 409),
    ("idempotency_key_reused", 409),
    ("rate_limited", 429),
]


@pytest.mark.parametrize(("kind", "status"), KNOWN_OUTCOMES)
def test_refusals_make_nothing(client: Client, kind: str, status: int) -> None:
    client.sandbox.inject(Fault(kind))
    reply = client.submit()

    assert reply.status_code == status
    assert reply.json()["error"]["message"]
    assert client.sandbox.accepted == 0


def test_every_documented_error_can_be_provoked(client: Client) -> None:
    for kind, error in ERRORS.items():
        client.sandbox.inject(Fault(kind, on="balance"))
        reply = client.get("/v1/balance")
        assert (reply.status_code, reply.headers["Content-Type"]) == (error.status, error.content_type), kind


def test_retry_after_in_seconds_and_as_a_date(client: Client) -> None:
    client.sandbox.inject(
        Fault("rate_limited", retry_after=7), Fault("idempotency_in_progress", retry_after=7, retry_after_date=True)
    )
    first, second = client.submit(), client.submit()

    assert first.headers["Retry-After"] == "7"
    assert 5 <= parsedate_to_datetime(second.headers["Retry-After"]).timestamp() - time.time() <= 7


def test_other_words_and_another_status(client: Client) -> None:
    client.sandbox.inject(
        Fault("server_error", on="status", status=599, message="维护中"), Fault("html_error", status=504)
    )

    reply = client.get("/v1/tasks/task_x")
    assert (reply.status_code, reply.json()["error"]["message"]) == (599, "维护中")
    assert client.submit().status_code == 504


def test_errors_inside_http_200(client: Client) -> None:
    client.sandbox.inject(Fault("success_false", on="balance"), Fault("error_in_200", on="status"))

    assert client.get("/v1/balance").json() == {"success": False, "message": "failed to query the balance"}
    assert client.get("/v1/tasks/task_x").json()["error"]["code"] == "upstream_error"


def test_faults_on_uploads_and_files(client: Client) -> None:
    client.sandbox.inject(Fault("upload_failed", on="upload"), Fault("lost_answer", on="upload"))
    assert client.upload(picture("red")).json() == {
        "error": {"message": "failed to upload image", "type": "server_error"}
    }
    with pytest.raises(requests.ConnectionError):
        client.upload(picture("red"))
    url = client.upload(picture("red")).json()["url"]
    client.sandbox.inject(Fault("truncated", on="file"), Fault("bad_gateway", on="file"))

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch(url)
    assert [fetch(url).status_code for _ in range(2)] == [502, 200]


def test_times_skip_and_clear(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("unavailable", on="balance", times=2, skip=1))
    assert [client.get("/v1/balance").status_code for _ in range(4)] == [200, 503, 503, 200]
    sandbox.inject(Fault("unavailable", on="any", share=1.0))
    assert client.get("/v1/models").status_code == 503
    sandbox.clear_faults()

    assert client.get("/v1/models").status_code == 200


def test_shares_are_drawn_from_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        plan = FaultPlan(seed)
        plan.inject(Fault("reset", share=0.25))
        return [plan.pick("submit") is not None for _ in range(400)]

    assert struck(1) == struck(1) != struck(2)
    assert 70 <= sum(struck(1)) <= 130


def test_the_command_line_form() -> None:
    assert parse_fault("lost_answer:0.1") == Fault("lost_answer", share=0.1)
    assert parse_fault("bad_gateway@status:0.5") == Fault("bad_gateway", on="status", share=0.5)
    assert parse_fault("unavailable:1:before").moment == "before"


@pytest.mark.parametrize("text", ["nonsense:1", "reset@moon:1", "reset:2", "reset:x", "reset:1:never"])
def test_wrong_faults_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_fault(text)


def test_the_connection_faults_have_all_been_met() -> None:
    assert set(CONNECTION_FAULTS) == {
        "lost_answer", "no_answer", "truncated", "reset", "garbage", "garbage_body", "oversized", "endless",
        "redirect", "closed_before_reading", "delayed",
    }  # fmt: skip
