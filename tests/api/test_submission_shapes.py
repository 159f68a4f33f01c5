from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.submission import Submission, submit

from .driver import Held, reply, run_flow
from .shapes import RECORDED_COMPLETED, RECORDED_SUBMIT, TASK_ID, URL

ONCE = RetryPolicy(max_requests=1)


def submitted(body: object, status: int = 200, **headers: str) -> Held:
    flow = submit(Modality.IMAGE, {"model": "m", "prompt": "p"}, "k", ONCE)
    return run_flow(flow, [reply(body, status, **headers)])


def accepted(body: object, status: int = 200, **headers: str) -> Submission:
    held = submitted(body, status, **headers)
    assert held.error is None
    assert isinstance(held.value, Submission)
    return held.value


WITH_ID: dict[str, Any] = {
    "S1": RECORDED_SUBMIT,
    "S2": {
        "code": 200,
        "data": {
            "id": TASK_ID,
            "status": "pending",
            "object": "image.generation.task",
            "task_info": {"can_cancel": False},
        },
    },
    "S4": {"code": 200, "data": {"id": TASK_ID, "object": "generation.task", "status": "queued"}},
    "S4 with poll_url and request_id": {
        "code": 200,
        "data": {"id": TASK_ID, "object": "generation.task", "poll_url": f"/v1/tasks/{TASK_ID}", "request_id": "r"},
    },
    "S6": {"id": TASK_ID},
    "S8 top task_id": {"task_id": TASK_ID},
    "S8 top id": {"id": TASK_ID, "status": "submitted"},
    "S8 data task_id": {"code": 200, "data": {"task_id": TASK_ID}},
    "S8 data id": {"data": {"id": TASK_ID}},
    "S8 item task_id": {"data": [{"task_id": TASK_ID}]},
    "S8 item id": {"data": [{"id": TASK_ID}]},
    "top id beside null data": {"id": TASK_ID, "data": None},
    "top id beside empty data": {"task_id": TASK_ID, "data": []},
    "data before the body's own id": {"id": "chatcmpl-7", "data": [{"task_id": TASK_ID}]},
    "task_id before id": {"data": [{"id": 7, "task_id": TASK_ID}]},
}


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("shape", WITH_ID)
def test_every_shape_gives_the_id(shape: str, status: int) -> None:
    generation = accepted(WITH_ID[shape], status).generation
    assert generation.generation_id == TASK_ID
    assert generation.status is GenerationStatus.RUNNING
    assert (generation.modality, generation.model) == (Modality.IMAGE, "m")


@pytest.mark.parametrize(
    ("word", "shown"), [(None, "submitted"), ("QUEUED", "queued"), ("", "submitted"), (5, "submitted")]
)
def test_status_word_of_the_reply_is_kept(word: object, shown: str) -> None:
    assert accepted({"data": [{"task_id": TASK_ID, "status": word}]}).generation.status_word == shown


def test_a_number_as_id_becomes_text() -> None:
    assert accepted({"data": {"id": 12345}}).generation.generation_id == "12345"


@pytest.mark.parametrize("word", ["success", "completed", "failed", "expired"])
@pytest.mark.parametrize("object_", [None, "generation.task"])
def test_a_final_word_in_the_reply_to_a_submit_is_not_believed(word: str, object_: str | None) -> None:
    # Only the status route tells of the result: taken for an end, the paid result would be lost.
    generation = accepted({"data": [{"task_id": TASK_ID, "status": word, "object": object_}]}).generation
    assert generation.status is GenerationStatus.RUNNING
    assert generation_from_xcom(generation.to_xcom()).status is GenerationStatus.RUNNING


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("status", [200, 202])
def test_s5_gives_the_result_at_once(status: int, listed: bool) -> None:
    data = {**RECORDED_COMPLETED["data"], "object": "generation.result"}
    del data["id"]
    generation = accepted({"code": 200, "data": [data] if listed else data}, status).generation
    assert generation.status is GenerationStatus.COMPLETED
    assert generation.generation_id is None
    assert [output.url for output in generation.outputs] == [URL]
    assert generation.model == "m"


def test_s5_without_a_status_word_is_completed() -> None:
    generation = accepted({"data": {"object": "generation.result", "result": {"images": [{"url": URL}]}}}).generation
    assert (generation.status, generation.status_word) == (GenerationStatus.COMPLETED, "completed")


def test_s5_that_is_neither_finished_nor_has_an_id_is_an_unknown_outcome() -> None:
    held = submitted({"data": {"object": "generation.result", "status": "processing"}})
    assert isinstance(held.error, errors.ApimartUnknownOutcomeError)


@pytest.mark.parametrize(("header", "replayed"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_a_replay_is_reported(header: str, replayed: bool) -> None:
    assert accepted(RECORDED_SUBMIT, Idempotency_Replayed=header).replayed is replayed


def test_without_the_header_it_is_no_replay() -> None:
    assert accepted(RECORDED_SUBMIT).replayed is False


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "task_1",
        {"code": 200, "data": []},
        {"code": 200, "data": {}},
        {"data": [{"task_id": ""}]},
        {"data": [{"task_id": None, "id": " "}]},
        {"data": [{"task_id": True}]},
        {"data": [{"task_id": 1.5}]},
        {"data": [[{"task_id": TASK_ID}]]},
        {"data": [{"task_id": {"id": TASK_ID}}]},
        {"success": True},
        b"",
        b"<html>200</html>",
        b'{"code":200,"data":[{"task_i',
        b"\xff\xfe\x00",
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_without_an_id_is_an_unknown_outcome(body: object, status: int) -> None:
    assert isinstance(submitted(body, status).error, errors.ApimartUnknownOutcomeError)


def test_request_carries_key_version_and_the_payload_as_it_is() -> None:
    payload = {
        "model": "m",
        "prompt": "Füchse",
        "n": 2,
        "image_urls": [{"url": "https://x/a.png"}],
        "new_field": {"a": [1]},
    }
    held = run_flow(submit(Modality.VIDEO, payload, "key-1", ONCE), [reply(RECORDED_SUBMIT)])
    (request,) = held.requests
    assert (request.method, request.path) == ("POST", "/v1/videos/generations")
    assert request.headers == {"Idempotency-Key": "key-1", "X-APIMart-Response-Version": "2026-07-27"}
    assert request.content is not None
    assert request.content.content_type == "application/json"
    assert request.content.length == len(held.bodies[0])
    assert json.loads(held.bodies[0]) == payload
