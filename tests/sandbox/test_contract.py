"""Replies of the current dialect, to the letter of the recorded ones."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
import requests

from airflow_provider_apimart.sandbox import ApiKey, Sandbox, SandboxSettings

from .support import IMAGE_MODEL, Client, fetch, picture

PENDING = {"id", "status", "progress", "created", "estimated_time"}
COMPLETED = PENDING | {"actual_time", "completed", "cost", "credits_cost", "result", "usage"}


def test_submit_reply_is_the_recorded_one(client: Client) -> None:
    reply = client.submit()

    assert reply.status_code == 200
    assert re.fullmatch(r'\{"code":200,"data":\[\{"status":"submitted","task_id":"task_[0-9A-Z]{26}"\}\]\}', reply.text)
    assert re.fullmatch(r"\d{20}", reply.headers["X-Oneapi-Request-Id"])


def test_task_goes_from_pending_over_processing_to_completed(client: Client, sandbox: Sandbox) -> None:
    task_id = client.task_id()
    seen = []
    for _ in range(3):
        data = client.get(f"/v1/tasks/{task_id}?language=en").json()["data"]
        seen.append((data["status"], round(data["progress"], -1), set(data)))
        sandbox.advance(5)

    assert seen == [("pending", 0, PENDING), ("processing", 50, PENDING), ("completed", 100, COMPLETED)]


def test_completed_task_has_the_recorded_values(client: Client) -> None:
    data = client.finished(model="gpt-image-1.5")

    assert data["cost"] == 0.00476
    assert data["credits_cost"] == pytest.approx(0.0476)
    assert data["result"]["images"][0]["expires_at"] == data["completed"] + 86_400
    assert data["result"]["images"][0]["url"][0].endswith(".png")
    assert data["usage"]["total_tokens"] == data["usage"]["input_tokens"] + data["usage"]["output_tokens"]


def test_failed_task_is_http_200_with_code_200(client: Client) -> None:
    task_id = client.task_id(prompt="[sandbox: fail upstream error]")
    client.sandbox.complete_all()
    reply = client.get(f"/v1/tasks/{task_id}")

    assert (reply.status_code, reply.json()["code"]) == (200, 200)
    data = reply.json()["data"]
    assert set(data) == {"id", "status", "progress", "created", "completed", "error"}
    assert (data["status"], data["error"]) == ("failed", {"message": "upstream error", "code": ""})


def test_unauthorized_reply_is_the_recorded_one(sandbox: Sandbox) -> None:
    reply = requests.get(f"{sandbox.base_url}/v1/balance", headers={"Authorization": "Bearer wrong"}, timeout=5)

    assert reply.status_code == 401
    pattern = (
        r'\{"error":\{"code":"","message":"invalid API key \(request id: \d{20}\)",'
        r'"param":"","type":"apimart_error"\}\}'
    )
    assert re.fullmatch(pattern, reply.text)


@pytest.mark.parametrize("authorization", [None, "", "sk-sandbox-key", "bearer sk-sandbox-key", "Basic sk-sandbox-key"])
@pytest.mark.parametrize("path", ["/v1/balance", "/v1/models", "/v1/tasks/task_x", "/v1/anything"])
def test_every_call_needs_a_bearer_key(sandbox: Sandbox, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    assert requests.get(sandbox.base_url + path, headers=headers, timeout=5).status_code == 401


def test_upload_reply_is_the_recorded_one(client: Client) -> None:
    content = picture("red", "JPEG")
    reply = client.upload(content, "photo.jpg").json()

    assert list(reply) == ["url", "filename", "content_type", "bytes", "created_at"]
    assert re.fullmatch(r"http://127.0.0.1:\d+/f/image/\d{13}-[0-9a-f]{8}-photo.jpg", reply["url"])
    assert (reply["filename"], reply["content_type"], reply["bytes"]) == ("photo.jpg", "image/jpeg", len(content))


@pytest.mark.parametrize(
    ("image_format", "type_"), [("JPEG", "jpeg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp")]
)
def test_upload_is_judged_by_content_and_served_back(client: Client, image_format: str, type_: str) -> None:
    content = picture("blue", image_format)
    reply = client.upload(content, "wrong name äö.txt").json()
    served = fetch(reply["url"])

    assert reply["content_type"] == f"image/{type_}"
    assert (served.content, served.headers["Content-Type"]) == (content, f"image/{type_}")


UPLOAD_ERRORS = [
    (b"%PDF-1.7 x", 400, "unsupported image type: application/pdf, allowed: jpeg, png, gif, webp"),
    (b"just text", 400, "unsupported image type: text/plain; charset=utf-8, allowed: jpeg, png, gif, webp"),
    (b"\x00\x01\x02", 400, "unsupported image type: application/octet-stream, allowed: jpeg, png, gif, webp"),
    (b"\xff\xd8\xff" + bytes(20_971_518), 413, "file size 20971521 exceeds maximum 20971520 bytes"),
]


@pytest.mark.parametrize(("content", "status", "message"), UPLOAD_ERRORS, ids=["pdf", "text", "bytes", "large"])
def test_refused_uploads(client: Client, content: bytes, status: int, message: str) -> None:
    reply = client.upload(content)

    assert reply.status_code == status
    assert reply.json() == {"error": {"message": message, "type": "invalid_request_error"}}


def test_largest_upload_is_accepted(client: Client) -> None:
    assert client.upload(b"\xff\xd8\xff" + bytes(20_971_517)).json()["bytes"] == 20_971_520


@pytest.mark.parametrize("files", [{"image": ("a.png", b"x")}, None], ids=["other field", "no multipart"])
def test_upload_without_its_field(client: Client, files: Any) -> None:
    reply = client.session.post(f"{client.sandbox.base_url}/v1/uploads/images", files=files, timeout=5)

    assert reply.status_code == 400
    assert reply.json()["error"]["message"].startswith("missing or invalid file field: ")


SUBMIT_ERRORS: list[tuple[dict[str, Any], int, str]] = [
    ({"prompt": None}, 400, "prompt is required"),
    ({"prompt": " "}, 400, "prompt is required"),
    ({"model": None}, 400, "model is required"),
    ({"model": "no-such-model"}, 404, "model not found"),
    ({"kind": "videos", "model": IMAGE_MODEL}, 400, "does not support video_generation"),
    ({"n": "1"}, 400, "cannot unmarshal string into n of type int"),
    ({"n": True}, 400, "cannot unmarshal bool into n of type int"),
    ({"n": 1.5}, 400, "cannot unmarshal number into n of type int"),
    ({"kind": "videos", "duration": "5"}, 400, "cannot unmarshal string into duration of type int"),
    ({"seed": "7"}, 400, "into seed of type int"),
    ({"prompt": ["a"]}, 400, "cannot unmarshal array into prompt of type string"),
    ({"image_urls": "http://x/y.png"}, 400, "cannot unmarshal string into image_urls of type array"),
    ({"image_urls": [5]}, 400, "into image_urls of type string"),
    ({"image_urls": ["data:image/png;base64,AAAA"]}, 400, "base64 images are no longer supported"),
    ({"image_urls": ["A" * 100]}, 400, "base64 images are no longer supported"),
    ({"image_urls": ["/tmp/picture.png"]}, 400, "invalid image url"),
    ({"image_urls": ["file:///tmp/picture.png"]}, 400, "invalid image url"),
    ({"image_urls": ["http://[broken"]}, 400, "invalid image url"),
    ({"image_urls": ["http://example.com/a.png"] * 15}, 500, "build_request_failed: too many images: 15"),
    ({"size": "1024x1024"}, 500, "build_request_failed: invalid size: 1024x1024, allowed: 1:1 / 2:3"),
    ({"model": "gpt-image-1.5", "size": "16:9"}, 500, "build_request_failed: invalid size: 16:9, allowed: 1024x1024"),
    ({"n": 5}, 500, "build_request_failed: invalid n: 5, allowed: 1 - 4"),
    ({"n": 0}, 500, "build_request_failed: invalid n: 0"),
    ({"resolution": "8K"}, 500, "build_request_failed: invalid resolution: 8K, allowed: 1K / 2K / 4K"),
    ({"kind": "videos", "duration": 7}, 500, "build_request_failed: invalid duration: 7, allowed: 5 / 10"),
    ({"model": "recraft-crisp-upscale", "prompt": None}, 400, "image_urls is required"),
    ({"prompt": "[sandbox: refuse]"}, 500, "build_request_failed: content moderation failed"),
    ({"prompt": "[sandbox: nsfw]"}, 400, "refused by moderation"),
]


@pytest.mark.parametrize(("body", "status", "message"), SUBMIT_ERRORS)
def test_refused_submits_make_and_cost_nothing(client: Client, body: dict[str, Any], status: int, message: str) -> None:
    reply = client.submit(**body)

    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]
    assert (client.sandbox.accepted, client.sandbox.billed, client.sandbox.dollars) == (0, 0, Decimal(0))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_refused_bodies(client: Client, body: bytes) -> None:
    reply = client.session.post(f"{client.sandbox.base_url}/v1/images/generations", data=body, timeout=5)

    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_recorded_submit_errors_to_the_letter(client: Client) -> None:
    replies = [
        client.submit(prompt=None).json(),
        client.submit(headers={"Authorization": "Bearer sk-sandbox-empty"}).json(),
        client.submit(headers={"Authorization": "Bearer sk-sandbox-restricted"}).json(),
    ]

    assert replies == [
        {"error": {"code": 400, "message": "prompt is required", "type": "invalid_request_error"}},
        {"error": {"code": 402, "message": "insufficient balance", "type": "payment_required"}},
        {"error": {"code": 403, "message": "no permission for this model", "type": "permission_error"}},
    ]


def test_unknown_fields_and_object_references_pass(client: Client) -> None:
    reply = client.submit(image_urls=[{"url": "http://example.com/a.png"}], fresh_field={"a": [1]}, seed=7)

    assert reply.status_code == 200
    assert client.sandbox.generations[0].payload["fresh_field"] == {"a": [1]}


def test_unknown_models_pass_if_wished(client: Client) -> None:
    client.sandbox.configure(any_model=True)

    assert client.submit(model="brand-new", size="7:3", n=9).status_code == 200
    assert client.submit(kind="videos", model="brand-new-video", duration=13).status_code == 200


def test_unknown_and_forgotten_tasks(client: Client) -> None:
    task_id = client.task_id()
    assert client.get("/v1/tasks/task_x").status_code == 404
    assert (
        client.get(f"/v1/tasks/{task_id}", headers={"Authorization": "Bearer sk-sandbox-unlimited"}).status_code == 404
    )
    client.sandbox.configure(unknown_task_status=400)
    client.sandbox.advance(4 * 86_400)

    assert client.get(f"/v1/tasks/{task_id}").status_code == 400


def test_current_contract_lacks_the_older_route_and_the_batch(client: Client) -> None:
    task_id = client.task_id()

    for modality in ("images", "videos"):
        assert client.get(f"/v1/{modality}/generations/{task_id}").status_code == 404
    assert client.session.post(f"{client.sandbox.base_url}/v1/tasks/batch", json={}, timeout=5).status_code == 404


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/user/balance"])
def test_balance(client: Client, path: str) -> None:
    client.task_id()
    unlimited = client.get(path, headers={"Authorization": "Bearer sk-sandbox-unlimited"}).json()

    assert client.get(path).json() == {
        "success": True,
        "remain_balance": 99.95,
        "used_balance": 0.05,
        "unlimited_quota": False,
        "remain_credits": 999.5,
        "used_credits": 0.5,
    }
    assert (unlimited["unlimited_quota"], unlimited["remain_balance"], unlimited["remain_credits"]) == (True, -1, -1)


def test_models_and_their_descriptions(client: Client) -> None:
    listed = {model["id"] for model in client.get("/v1/models").json()["data"]}
    schema = client.get(f"/v1/model-schema?model={IMAGE_MODEL}&operation=image_generation").json()["data"]
    document = client.get(f"/v1/model-docs?model={IMAGE_MODEL}")

    assert {IMAGE_MODEL, "kling-v2-6"} <= listed
    assert "16:9" in schema["input_schema"]["properties"]["size"]["enum"]
    assert (document.headers["Content-Type"], document.text[:6]) == ("text/markdown", "# gemi")
    assert client.get("/v1/model-schema?model=none").status_code == 404
    assert client.get("/v1/models", headers={"Authorization": "Bearer sk-sandbox-empty"}).status_code == 402


def test_connection_json_is_what_airflow_reads(sandbox: Sandbox) -> None:
    connection = json.loads(sandbox.connection_json())

    assert connection == {"conn_type": "apimart", "host": sandbox.base_url, "password": "sk-sandbox-key"}


def test_own_keys() -> None:
    keys = (ApiKey("sk-one", models=(IMAGE_MODEL,)),)
    with Sandbox(SandboxSettings(api_key="sk-mine", other_keys=keys)) as own:
        headers = {"Authorization": "Bearer sk-one"}
        assert len(requests.get(f"{own.base_url}/v1/models", headers=headers, timeout=5).json()["data"]) == 1
        assert own.api_key == "sk-mine"
