from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.balance import Balance, balance
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom, named_generation
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.models import list_models
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes, read_status
from airflow_provider_apimart.api.submission import Submission, submit
from airflow_provider_apimart.api.upload import ImageFile, Upload, upload
from airflow_provider_apimart.api.wait_event import to_event
from airflow_provider_apimart.api.waiting import Wait

from .driver import run_flow
from .shapes import (
    BALANCE,
    MODELS,
    RECORDED_COMPLETED,
    RECORDED_FAILED,
    RECORDED_PENDING,
    RECORDED_SUBMIT,
    RECORDED_UPLOAD,
    TASK_ID,
)
from .test_status_shapes import COMPLETED_SHAPES
from .test_submission_shapes import WITH_ID
from .test_upload_and_balance_replies import PICTURE

pytestmark = pytest.mark.slow

ONCE = RetryPolicy(max_requests=1, rate_limited_seconds=-1.0)


def _image() -> ImageFile:
    return ImageFile("/tmp/fox.png", "fox.png", len(PICTURE), lambda: io.BytesIO(PICTURE))


CALLS: dict[str, Callable[[], Flow[Any]]] = {
    "submit": lambda: submit(Modality.IMAGE, {"model": "m"}, "k", ONCE),
    "status": lambda: read_status(TASK_ID, Modality.IMAGE, StatusRoutes()),
    "upload": lambda: upload(_image(), ONCE),
    "balance": balance,
    "models": list_models,
}
KINDS = {"submit": Submission, "status": Generation, "upload": Upload, "balance": Balance, "models": tuple}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**310),
    st.floats(),
    st.text(),
    st.sampled_from(
        [
            "",
            " ",
            "completed",
            "FAILED",
            "https://x/a.png",
            "http://[bad",
            "NaN",
            "1e999",
            "2026-13-01",
            "\ud800",
            "generation.result",
        ]
    ),
)
names = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [
            "code",
            "data",
            "id",
            "task_id",
            "status",
            "object",
            "error",
            "message",
            "success",
            "result",
            "images",
            "videos",
            "url",
            "urls",
            "image_urls",
            "video_url",
            "expires_at",
            "last_frame_url",
            "cost",
            "usage",
            "created",
            "completed",
            "progress",
            "fail_reason",
            "remain_balance",
            "unlimited_quota",
            "bytes",
            "created_at",
            "request_id",
            "type",
        ]
    ),
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=20
)
bodies = st.one_of(trees.map(lambda tree: json.dumps(tree).encode()), st.binary())
statuses = st.one_of(
    st.sampled_from([200, 201, 202, 204, 206, 301, 307, 400, 401, 402, 404, 408, 409, 429, 500, 502, 503]),
    st.integers(100, 999),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "idempotency-replayed", "x-oneapi-request-id", "content-type"]),
    st.text(max_size=20),
)
replies = st.builds(Reply, status=statuses, headers=headers, body=bodies)


def check_plain(xcom: dict[str, Any]) -> None:
    assert json.loads(json.dumps(xcom, allow_nan=False, ensure_ascii=False).encode().decode()) == xcom


def check_generation(generation: Generation) -> None:
    xcom = generation.to_xcom()
    check_plain(xcom)
    assert generation_from_xcom(xcom).to_xcom() == xcom
    check_plain(to_event(Wait("x", started_at=0.0, deadline=1e9).decide(generation, now=1.0)))
    assert str(generation)


def check(call: str, reply: Reply) -> None:
    held = run_flow(CALLS[call](), [reply])
    if held.error is not None:
        assert isinstance(held.error, errors.ApimartError), repr(held.error)
        said = held.error.to_json()
        assert json.loads(json.dumps(said, allow_nan=False)) == said
        assert str(errors.error_from_json(said)) == str(held.error)
        return
    assert isinstance(held.value, KINDS[call])
    match held.value:
        case Submission():
            check_generation(held.value.generation)
        case Generation():
            check_generation(held.value)
        case Upload():
            check_plain(held.value.to_xcom())
        case tuple():
            for model in held.value:
                check_plain(model.to_json())


@pytest.mark.parametrize("call", CALLS)
@given(reply=replies)
@example(reply=Reply(200, {}, b"[" * 100_000))
@example(reply=Reply(200, {}, b'{"data":{"status":"completed","result":' + b'{"a":' * 400 + b"1" + b"}" * 402))
@settings(max_examples=250, deadline=None)
def test_any_body_is_a_value_or_an_error_of_ours(call: str, reply: Reply) -> None:
    check(call, reply)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Go through the places of a tree, its root included."""
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, child in children:
        yield from places(child, (*path, name))


def replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(tree)
    changed[path[0]] = replaced(tree[path[0]], path[1:], value)
    return changed


WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    1e308,
    "",
    "x",
    "\ud800",
    "-Infinity",
    [],
    [None],
    [[]],
    {},
    {"a": 1},
    {"url": []},
    ["https://x/a.png"],
]
REAL: dict[str, list[Any]] = {
    "submit": [
        *WITH_ID.values(),
        RECORDED_SUBMIT,
        {"data": {**RECORDED_COMPLETED["data"], "object": "generation.result"}},
    ],
    "status": [RECORDED_PENDING, RECORDED_FAILED, *(body for body, _ in COMPLETED_SHAPES.values())],
    "upload": [RECORDED_UPLOAD, {"code": 200, "data": RECORDED_UPLOAD}],
    "balance": [
        BALANCE,
        {**BALANCE, "unlimited_quota": True, "remain_balance": -1},
        {"success": False, "message": "no"},
    ],
    "models": [MODELS],
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_type_at_any_level_is_a_value_or_an_error_of_ours(call: str) -> None:
    for body in REAL[call]:
        for path in places(body):
            for wrong in WRONG:
                check(call, Reply(200, {}, json.dumps(replaced(body, path, wrong)).encode()))


@pytest.mark.parametrize("call", CALLS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_tree_at_any_level_of_a_real_reply(call: str, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(REAL[call]))
    path = data.draw(st.sampled_from(list(places(body))))
    changed = replaced(body, path, data.draw(trees))
    check(call, Reply(data.draw(st.sampled_from([200, 202])), {}, json.dumps(changed).encode()))


@pytest.mark.parametrize("call", CALLS)
def test_every_truncation_of_a_real_reply(call: str) -> None:
    body = json.dumps(REAL[call][0]).encode()
    for length in range(len(body)):
        check(call, Reply(200, {}, body[:length]))


@given(
    st.dictionaries(
        st.one_of(names, st.sampled_from(["outputs", "generation_id", "modality", "model", "kind"])), trees, max_size=8
    )
)
@settings(deadline=None)
def test_any_mapping_is_read_as_an_xcom(value: dict[str, Any]) -> None:
    generation = generation_from_xcom(value)
    check_plain(generation.to_xcom())
    assert generation_from_xcom(generation.to_xcom()).to_xcom() == generation.to_xcom()


@given(trees)
@settings(deadline=None)
def test_any_value_names_a_generation_or_is_refused(value: Any) -> None:
    try:
        named = named_generation(value)
    except errors.ApimartInvalidRequestError:
        return
    assert named.generation_id or named.status.is_final
