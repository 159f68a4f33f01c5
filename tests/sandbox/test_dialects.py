"""Every documented shape of a reply, as a raw client sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.dialects import DIALECTS, SUBMIT_SHAPES, dialect

from .support import Client, fetch

Json = Any

SUBMITS: list[tuple[str, int, Callable[[Json], Any]]] = [
    ("S1", 200, lambda body: body["data"][0]["task_id"]),
    ("S2", 200, lambda body: body["data"]["id"]),
    ("S4", 200, lambda body: body["data"]["id"]),
    ("S4-202", 202, lambda body: body["data"]["poll_url"].removeprefix("/v1/tasks/")),
    ("S6", 200, lambda body: body["id"]),
    ("S8-top-id", 200, lambda body: body["id"]),
    ("S8-top-task_id", 200, lambda body: body["task_id"]),
    ("S8-data-id", 200, lambda body: body["data"]["id"]),
    ("S8-data-task_id", 200, lambda body: body["data"]["task_id"]),
    ("S8-item-id", 200, lambda body: body["data"][0]["id"]),
]


@pytest.mark.parametrize(("shape", "status", "find"), SUBMITS)
def test_submit_shapes(client: Client, shape: str, status: int, find: Callable[[Json], Any]) -> None:
    client.sandbox.configure(dialect=f"{shape}+T1")
    reply = client.submit()

    assert reply.status_code == status
    assert find(reply.json()) == client.sandbox.generations[0].generation_id


def test_objects_of_submit_shapes(client: Client) -> None:
    client.sandbox.configure(dialect="older_pages")
    assert client.submit().json()["data"]["object"] == "image.generation.task"
    assert "task_info" in client.submit(kind="videos").json()["data"]
    client.sandbox.configure(dialect="accepted")

    data = client.submit().json()["data"]
    assert (data["object"], data["status"], len(data["request_id"])) == ("generation.task", "queued", 20)


def test_version_header_asks_for_the_object(client: Client) -> None:
    versioned = client.submit(headers={"X-APIMart-Response-Version": "2026-07-27"}).json()
    other = client.submit(headers={"X-APIMart-Response-Version": "2020-01-01"}).json()

    assert versioned["data"]["object"] == "generation.task"
    assert "task_id" in other["data"][0]


def test_result_at_once(client: Client) -> None:
    client.sandbox.configure(dialect="at_once")
    data = client.submit(n=2).json()["data"]

    assert (data["object"], data["status"], "id" in data) == ("generation.result", "completed", False)
    assert [fetch(image["url"][0]).status_code for image in data["result"]["images"]] == [200, 200]
    assert client.sandbox.billed == 1


def urls_of(client: Client, status: str, **body: Any) -> tuple[Json, tuple[str, ...]]:
    """Finish a generation in a status shape; return the reply's body and the URLs it should tell."""
    client.sandbox.configure(dialect=f"S1+{status}@both")
    task_id = client.task_id(**body)
    client.sandbox.complete_all()
    return client.get(f"/v1/tasks/{task_id}").json(), client.sandbox.generations[-1].urls


STATUSES: list[tuple[str, dict[str, Any], Callable[[Json], list[str]]]] = [
    ("T1", {"n": 2}, lambda body: [item["url"][0] for item in body["data"]["result"]["images"]]),
    ("T1", {"kind": "videos"}, lambda body: body["data"]["result"]["videos"][0]["url"]),
    ("T2", {"n": 2}, lambda body: [item["url"] for item in body["data"]["result"]["images"]]),
    ("T3", {"kind": "videos"}, lambda body: [body["data"]["result"]["videos"][0]["url"]]),
    ("T4", {"kind": "videos"}, lambda body: body["data"]["result"]["videos"]),
    ("T4", {"n": 2}, lambda body: body["data"]["result"]["images"]),
    ("T4-audios", {}, lambda body: [body["data"]["result"]["audios"][0]["url"]]),
    ("T5", {}, lambda body: body["result"]["images"][0]["url"]),
    ("T8", {"n": 2}, lambda body: body["image_urls"]),
    ("T8", {"kind": "videos"}, lambda body: [body["video_url"]]),
    ("T10", {}, lambda body: [body["url"]]),
    ("T12-list", {"n": 3}, lambda body: body["data"]["result"]["images"][0]["url"]),
    ("T12-items", {"n": 3}, lambda body: [item["url"][0] for item in body["data"]["result"]["images"]]),
]


@pytest.mark.parametrize(("status", "asked", "find"), STATUSES)
def test_status_shapes(client: Client, status: str, asked: dict[str, Any], find: Callable[[Json], list[str]]) -> None:
    body, urls = urls_of(client, status, **asked)

    assert tuple(find(body)) == urls
    assert len(urls) == asked.get("n", 1)


def test_results_without_media(client: Client) -> None:
    assert urls_of(client, "T6")[0]["data"]["result"] == {"prompt": "A picture of a fox"}
    body, urls = urls_of(client, "T7")

    assert body["data"]["result"]["objects"][0]["label"] == "subject"
    assert urls == ()


def test_layers_come_without_envelope(client: Client) -> None:
    body, _ = urls_of(client, "T5")

    assert (body["status"], "code" in body, "layers" in body["result"]) == ("success", False, True)


def test_midjourney_in_upper_case(client: Client) -> None:
    client.sandbox.configure(dialect="midjourney")
    task_id = client.task_id(prompt="[sandbox: fail banned prompt]")
    seen = []
    for _ in range(3):
        body = client.get(f"/v1/tasks/{task_id}").json()
        seen.append((body["status"], body["fail_reason"]))
        client.sandbox.advance(5)

    assert seen == [("NOT_START", ""), ("IN_PROGRESS", ""), ("FAILURE", "banned prompt")]
    assert body["progress"] == "100%"


def test_last_frame_of_a_video(client: Client) -> None:
    body, _ = urls_of(client, "T3", kind="videos", return_last_frame=True)

    assert fetch(body["data"]["result"]["videos"][0]["last_frame_url"]).headers["Content-Type"] == "image/png"


def test_sound(client: Client) -> None:
    _, urls = urls_of(client, "T4-audios")

    assert fetch(urls[0]).content[:4] == b"RIFF"


@pytest.mark.parametrize("kind", ["images", "videos"])
def test_older_dialect_end_to_end(client: Client, kind: str) -> None:
    client.sandbox.configure(dialect="older")
    reply = client.submit(kind=kind).json()
    assert list(reply) == ["id"]
    path = f"/v1/{kind}/generations/{reply['id']}"
    assert client.get(path).json() == {"status": "pending", "url": "", "fail_reason": ""}
    client.sandbox.complete_all()

    assert client.get(path).json()["url"] == client.sandbox.generations[0].urls[0]
    assert client.get(f"/v1/tasks/{reply['id']}").status_code == 404


def test_words_may_be_others(client: Client) -> None:
    client.sandbox.configure(status_words={"submitted": "QUEUED", "pending": "moonwalking", "completed": "SUCCEEDED"})
    reply = client.submit().json()["data"][0]
    first = client.get(f"/v1/tasks/{reply['task_id']}").json()["data"]["status"]
    client.sandbox.complete_all()

    assert (reply["status"], first) == ("QUEUED", "moonwalking")
    assert client.get(f"/v1/tasks/{reply['task_id']}").json()["data"]["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("object", {"error": {"message": "why", "code": ""}}),
        ("object_int", {"error": {"message": "why", "type": "server_error", "code": 500}}),
        ("object_string", {"error": {"message": "why", "type": "server_error", "code": "upstream_error"}}),
        ("string", {"error": "why"}),
        ("fail_reason", {"fail_reason": "why"}),
    ],
)
def test_error_forms(client: Client, form: str, told: dict[str, Any]) -> None:
    client.sandbox.configure(error_form=form)

    assert client.finished(prompt="[sandbox: fail why]").items() >= told.items()


def test_a_dialect_for_one_model(client: Client) -> None:
    client.sandbox.configure(model_dialects={"gpt-image-1.5": "older"})

    assert list(client.submit(model="gpt-image-1.5").json()) == ["id"]
    assert "data" in client.submit().json()


def test_all_named_dialects_exist_and_others_do_not() -> None:
    assert {dialect(name).submit for name in DIALECTS} <= set(SUBMIT_SHAPES)
    for wrong in ("S3+T1", "S1", "S1+T99", "S1+T1@moon", ""):
        with pytest.raises(ValueError, match="Unknown dialect"):
            Sandbox(SandboxSettings(dialect=wrong))
    with pytest.raises(ValueError, match="error_form"):
        SandboxSettings(error_form="poem")
