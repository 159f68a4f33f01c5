from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.api.error_mapping import free_call_error, read_error_reply, root_reason, submit_error
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.redaction import Secrets, without_query
from airflow_provider_apimart.api.settings import ClientSettings

KEY = "sk-/very+secret=0123456789"
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON with slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "JSON twice": lambda secret: json.dumps(json.dumps(secret)[1:-1])[1:-1],
    "code points": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "first code point": lambda secret: f"\\u{ord(secret[0]):04X}" + secret[1:],
    "URL": lambda secret: quote(secret, safe=""),
    "URL twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "HTML": html.escape,
    "HTML numbers": lambda secret: "".join(f"&#{ord(letter)};" for letter in secret),
    "capitals": str.upper,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=20)
@given(secret=VISIBLE)
def test_a_secret_is_redacted_in_every_spelling(spelling: str, secret: str) -> None:
    assume("*" not in secret)
    spelt = SPELLINGS[spelling](secret)
    assert Secrets.of([secret]).redact(f"token{spelt}isn't allowed") == "token***isn't allowed"


@given(secret=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=7), around=st.sampled_from("_-a7"))
def test_a_short_secret_is_redacted_as_a_word_and_in_no_word(secret: str, around: str) -> None:
    secrets = Secrets.of([secret])
    assert secrets.redact(f"key '{secret}' is wrong: {secret}.") == "key '***' is wrong: ***."
    assert secrets.redact(f"{around}{secret}{around}") == f"{around}{secret}{around}"


@pytest.mark.parametrize("key", ["o", "task", "data", "completed", "id", "status", "url", "image", "kling"])
def test_a_reply_is_read_unredacted(key: str) -> None:
    body = {
        "code": 200,
        "data": {
            "id": "task_01o",
            "status": "completed",
            "model": "kling-v2.6",
            "result": {"images": [{"url": ["https://x/task/image.png?o=task"]}]},
        },
    }
    reply = Reply(200, {}, json.dumps(body).encode(), secrets=Secrets.of([key]))
    assert reply.json == body


def test_messages_of_a_reply_are_redacted_at_any_depth() -> None:
    body = {"data": {"id": "task_1", "error": {"message": f"bad {KEY}"}, "result": {"prompt": [KEY]}}}
    reply = Reply(200, {}, json.dumps(body).replace("/", "\\/").encode(), secrets=Secrets.of([KEY]))
    assert KEY not in str(reply.json)
    assert "bad ***" in str(reply.json)


def test_the_secrets_of_a_connection() -> None:
    client = ClientSettings(
        "sk-key", headers={"X-Auth": "Token hdr-s3cr3t"}, proxy="http://user:p%40ss-w0rd@proxy.example:3128"
    )
    said = client.secrets.redact("sk-key hdr-s3cr3t p@ss-w0rd p%40ss-w0rd dXNlcjpwQHNzLXcwcmQ=")
    assert said == "*** *** *** *** ***"
    assert "s3cr3t" not in repr(client) + repr(client.network) + repr(client.secrets)
    assert "w0rd" not in repr(client) + repr(client.network) + repr(client.secrets)


@pytest.mark.parametrize(
    "signed",
    [
        "https://b.s3.amazonaws.com/x.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=s1gn",
        "https://b.s3.amazonaws.com/x.png?AWSAccessKeyId=A&Signature=s1gn%3D&Expires=1",
        "https://storage.googleapis.com/b/x.png?X-Goog-Signature=s1gn",
        "https://a.blob.core.windows.net/b/x.png?sv=2024&sig=s1gn%2F",
        "https://b.oss-cn-beijing.aliyuncs.com/x.png?OSSAccessKeyId=A&Signature=s1gn",
        "https://b.cos.ap-beijing.myqcloud.com/x.png?q-sign-algorithm=sha1&q-signature=s1gn",
        "https://d1.cloudfront.net/x.png?Policy=p&Signature=s1gn~&Key-Pair-Id=K",
        "HTTPS://cdn.example/x.png?token=s1gn",
        "https:\\/\\/cdn.example\\/x.png?token=s1gn",
    ],
)
def test_a_message_of_apimart_shows_no_signature_of_a_url(signed: str) -> None:
    said = f"image_urls[0] '{signed}' can't be fetched: <{signed}>, {signed}"
    body = json.dumps({"error": {"message": said, "type": "invalid_request_error"}}).encode()
    failed = read_generation({"status": "failed", "fail_reason": said})
    assert failed is not None
    assert failed.failure is not None
    for shown in (
        str(submit_error(read_error_reply(Reply(400, {}, body)))),
        str(free_call_error(read_error_reply(Reply(403, {}, b"<title>%s</title>" % said.encode())))),
        failed.failure.message,
        root_reason(OSError(said)),
    ):
        assert "s1gn" not in shown
        assert "x.png?***" in shown


def test_the_key_is_redacted_in_base64() -> None:
    secrets = ClientSettings(KEY).secrets
    assert secrets.redact(f"Basic {base64.b64encode(KEY.encode()).decode()}").startswith("Basic ***")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://b/x.png?X-Amz-Signature=abc", "https://b/x.png?***"),
        ("https://u:p@b/x.png#t", "https://b/x.png"),
        ("s3://bucket/x.png", "s3://bucket/x.png"),
        ("/data/what?.png", "/data/what?.png"),
        ("http://[bad?sig=abc", "http://[bad"),
    ],
)
def test_a_url_is_shown_without_its_query(url: str, shown: str) -> None:
    assert without_query(url) == shown
