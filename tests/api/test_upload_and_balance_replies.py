from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.balance import Balance, balance
from airflow_provider_apimart.api.media_type import media_type
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.upload import ImageFile, Upload, upload

from .driver import Held, error_reply, reply, run_flow
from .shapes import BALANCE, RECORDED_UPLOAD

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)
ONCE = RetryPolicy(max_requests=1)


def uploaded(*answers: Any, content: bytes = PICTURE, name: str = "fox.png", policy: RetryPolicy = ONCE) -> Held:
    image = ImageFile(f"/data/{name}", name, len(content), lambda: io.BytesIO(content))
    return run_flow(upload(image, policy), answers)


@pytest.mark.parametrize(
    "body", [RECORDED_UPLOAD, {"code": 200, "data": RECORDED_UPLOAD}, {"success": True, "data": RECORDED_UPLOAD}]
)
def test_an_upload_is_read_bare_or_in_an_envelope(body: object) -> None:
    value = uploaded(reply(body)).value
    assert isinstance(value, Upload)
    assert value.to_xcom() == {
        **RECORDED_UPLOAD,
        "created_at": "2025-03-31T16:00:00+00:00",
        "expires_at": "2025-04-03T16:00:00+00:00",
    }
    assert value.expires_at == datetime(2025, 3, 31, 16, tzinfo=UTC) + timedelta(hours=72)


def test_only_the_url_is_needed() -> None:
    value = uploaded(reply({"url": RECORDED_UPLOAD["url"]})).value
    assert value == Upload(RECORDED_UPLOAD["url"], None, None, None, None)
    assert value.to_xcom()["expires_at"] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"url": ""}, {"url": None}, {"url": "file:///x"}, {"url": 5}, {"url": ["https://x"]}, [], b"<html>", b""],
)
def test_success_without_a_url_is_a_server_error(body: object) -> None:
    assert type(uploaded(reply(body)).error) is errors.ApimartServerError


def test_the_request_is_one_multipart_part_that_can_be_sent_again() -> None:
    held = uploaded(
        error_reply(500, "failed to upload image"), reply(RECORDED_UPLOAD), policy=RetryPolicy(max_requests=2)
    )
    (request, again), (body, repeated) = held.requests, held.bodies
    assert request.path == again.path == "/v1/uploads/images"
    assert request.headers == {}
    assert request.content is not None
    assert request.content.length == len(body)
    assert body == repeated
    boundary = request.content.content_type.removeprefix("multipart/form-data; boundary=").encode()
    head, _, rest = body.partition(b"\r\n\r\n")
    assert head.startswith(b"--" + boundary + b"\r\n")
    assert b'name="file"; filename="fox.png"\r\nContent-Type: image/png' in head
    assert rest == PICTURE + b"\r\n--" + boundary + b"--\r\n"


@pytest.mark.parametrize("name", ['a"b.png', "a\r\nX: y.png", "füchse 狐.png", "a;b=c.png", "%22.png", "\x00.png"])
def test_a_file_name_cannot_break_out_of_its_header(name: str) -> None:
    head = uploaded(reply(RECORDED_UPLOAD), name=name).bodies[0].partition(b"\r\n\r\n")[0]
    assert head.count(b"\r\n") == 2
    assert head.count(b'"') == 4
    assert head.isascii()


def test_a_file_name_that_is_no_utf_8_is_uploaded() -> None:
    assert uploaded(reply(RECORDED_UPLOAD), name="fox\udcff.png").error is None


TYPES = {
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "image/png": PICTURE,
    "image/gif": b"GIF89a" + bytes(20),
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(20),
}
OTHERS = {
    "image/bmp": b"BM" + bytes(20),
    "application/pdf": b"%PDF-1.7\n",
    "text/html": b"\n <!DOCTYPE html><p>",
    "image/svg+xml": b'<?xml version="1.0"?><svg/>',
    "video/mp4": b"\x00\x00\x00\x18ftypmp42",
    "image/heic": b"\x00\x00\x00\x18ftypheic",
    "application/zip": b"PK\x03\x04",
    "application/json": b'{"a": 1}',
    "audio/wav": b"RIFF\x00\x00\x00\x00WAVEfmt ",
    "image/tiff": b"II*\x00",
    "text/plain": b"hello",
    "application/xml": b"<Error>",
    None: b"\x01\x02hello",
}


@pytest.mark.parametrize("content_type", TYPES)
def test_the_allowed_types_are_recognized_by_their_bytes(content_type: str) -> None:
    held = uploaded(reply(RECORDED_UPLOAD), content=TYPES[content_type], name="no_suffix")
    assert f"Content-Type: {content_type}".encode() in held.bodies[0]


@pytest.mark.parametrize("content_type", OTHERS)
def test_other_types_are_refused_before_anything_is_sent(content_type: str | None) -> None:
    assert media_type(OTHERS[content_type]) == content_type
    held = uploaded(reply(RECORDED_UPLOAD), content=OTHERS[content_type])
    assert isinstance(held.error, errors.ApimartInvalidRequestError)
    assert held.requests == []
    message = str(held.error)
    assert "/data/fox.png" in message
    assert (content_type or "no known type of image") in message
    assert "image/webp" in message


def test_every_prefix_of_a_signature_is_judged_without_an_error() -> None:
    for content in (*TYPES.values(), *OTHERS.values()):
        for length in range(len(content)):
            assert media_type(content[:length]) in {*TYPES, *OTHERS}


def test_webp_needs_its_riff() -> None:
    assert media_type(b"12345678WEBP") != "image/webp"


BALANCES: dict[str, tuple[Any, Balance]] = {
    "documented": (BALANCE, Balance(Decimal("10.5"), Decimal("2.3"))),
    "with credits": ({**BALANCE, "remain_credits": 105, "used_credits": 23}, Balance(Decimal("10.5"), Decimal("2.3"))),
    "unlimited": ({**BALANCE, "unlimited_quota": True, "remain_balance": -1}, Balance(None, Decimal("2.3"))),
    "unlimited without a number": ({"success": True, "unlimited_quota": True}, Balance(None)),
    "enveloped": ({"code": 200, "data": BALANCE}, Balance(Decimal("10.5"), Decimal("2.3"))),
    "as text": ({"remain_balance": "0.3"}, Balance(Decimal("0.3"))),
    "noise": ({"remain_balance": 0.30000000000000004}, Balance(Decimal("0.3"))),
    "nothing left": ({"remain_balance": 0}, Balance(Decimal(0))),
}


@pytest.mark.parametrize("shape", BALANCES)
def test_every_balance(shape: str) -> None:
    body, expected = BALANCES[shape]
    held = run_flow(balance(), [reply(body)])
    assert held.value == expected
    assert held.value.unlimited is (expected.remaining is None)
    assert held.requests[0].path == "/v1/balance"


@pytest.mark.parametrize(
    "body", [{}, [], {"remain_balance": None}, {"remain_balance": "much"}, {"unlimited_quota": "true"}, b"", b"<html>"]
)
def test_no_balance_is_a_server_error(body: object) -> None:
    assert type(run_flow(balance(), [reply(body)]).error) is errors.ApimartServerError


def test_a_failed_lookup_says_why() -> None:
    error = run_flow(balance(), [reply({"success": False, "message": "failed to query"})]).error
    assert type(error) is errors.ApimartServerError
    assert (error.status, "failed to query" in error.message) == (200, True)
