from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.http_messages import RequestKind
from airflow_provider_apimart.api.models import AllowedValues, ModelDescription, Parameter, list_models

from .driver import error_reply, reply, run_flow


def entry(model_id: str = "m", properties: Any = None, **changes: Any) -> dict[str, Any]:
    """Make an entry of the list as the contract describes it."""
    schema = {"type": "object", "properties": properties or {}}
    parameters = {"operation": "image_generation", "endpoint": "/v1/images/generations", "input_schema": schema}
    return {"id": model_id, "category": "image", "parameters": parameters, **changes}


def read(*entries: Any) -> tuple[ModelDescription, ...]:
    held = run_flow(list_models(), [reply({"object": "list", "data": list(entries)})])
    assert held.error is None, held.error
    models: tuple[ModelDescription, ...] = held.value
    return models


def parameter(schema: Any) -> Parameter:
    return read(entry(properties={"x": schema}))[0].parameters["x"]


def test_one_request_that_has_little_time() -> None:
    held = run_flow(list_models(), [reply({"data": []})])
    (request,) = held.requests
    assert (request.method, request.path, request.kind) == (
        "GET",
        "/v1/models?expand=parameters",
        RequestKind.CATALOGUE,
    )
    assert request.authorised
    assert held.value == ()


def test_what_a_description_says() -> None:
    properties = {
        "model": {"type": "string", "const": "m"},
        "size": {"type": "string", "enum": ["1:1", "16:9"]},
        "n": {"type": "integer", "minimum": 1, "maximum": 4},
        "image_urls": {"type": "array", "maxItems": 3},
    }
    (found,) = read(entry(properties=properties))
    assert (found.id, found.category, found.modalities) == ("m", "image", frozenset({Modality.IMAGE}))
    assert (found.endpoint, found.operation) == ("/v1/images/generations", Modality.IMAGE)
    assert found.parameters == {
        "model": Parameter("model", "string", (AllowedValues(enum=("m",)),)),
        "size": Parameter("size", "string", (AllowedValues(enum=("1:1", "16:9")),)),
        "n": Parameter("n", "integer", (AllowedValues(minimum=1, maximum=4),)),
        "image_urls": Parameter("image_urls", "array", (AllowedValues(max_items=3),)),
    }
    assert found.is_complete
    assert json.loads(json.dumps(found.to_json())) == {
        "id": "m",
        "category": "image",
        "modalities": ["image"],
        "endpoint": "/v1/images/generations",
        "parameters": {
            "model": {"type": "string", "enum": ["m"]},
            "size": {"type": "string", "enum": ["1:1", "16:9"]},
            "n": {"type": "integer", "minimum": 1, "maximum": 4},
            "image_urls": {"type": "array", "max_items": 3},
        },
    }


@pytest.mark.parametrize(
    ("changes", "modalities"),
    [
        ({"category": "video", "parameters": None}, {Modality.VIDEO}),
        ({"category": "Audio", "parameters": None}, {Modality.MUSIC}),
        ({"category": "chat", "parameters": None}, set()),
        ({"category": "chat", "capability_tags": ["image-generation"], "parameters": None}, {Modality.IMAGE}),
        ({"category": None, "capability_tags": ["image_to_video", "vision"], "parameters": None}, {Modality.VIDEO}),
        ({"category": None, "supported_endpoint_types": ["/v1/music/generations"]}, {Modality.IMAGE, Modality.MUSIC}),
        ({"category": None, "parameters": {"operation": "video_generation"}}, {Modality.VIDEO}),
        ({"category": None, "parameters": {"endpoint": {"path": "/v1/videos/generations"}}}, {Modality.VIDEO}),
        ({"category": 5, "capability_tags": "x", "parameters": []}, set()),
    ],
)
def test_what_a_model_makes(changes: dict[str, Any], modalities: set[Modality]) -> None:
    assert read(entry(**changes))[0].modalities == modalities


@pytest.mark.parametrize(
    ("schema", "alternatives"),
    [
        ({}, (AllowedValues(),)),
        (None, (AllowedValues(),)),
        ({"enum": []}, (AllowedValues(),)),
        ({"enum": "1:1"}, (AllowedValues(),)),
        ({"enum": [{"a": 1}]}, (AllowedValues(),)),
        ({"enum": [None, 5, 0.5, True]}, (AllowedValues(enum=(5, 0.5, True)),)),
        ({"const": "x"}, (AllowedValues(enum=("x",)),)),
        ({"minimum": "1", "maximum": "many"}, (AllowedValues(),)),
        ({"minimum": 5, "maximum": 1}, (AllowedValues(),)),
        ({"maxItems": -1}, (AllowedValues(),)),
        ({"maxItems": None}, (AllowedValues(),)),
        ({"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}, (AllowedValues(enum=("a",)),)),
        ({"oneOf": [{"enum": ["auto"]}, {"minimum": 1}]}, (AllowedValues(enum=("auto",)), AllowedValues(minimum=1))),
        ({"anyOf": [{"enum": ["a"]}, {"$ref": "#/x"}]}, (AllowedValues(enum=("a",)), AllowedValues())),
    ],
)
def test_what_cannot_be_read_limits_nothing(schema: Any, alternatives: tuple[AllowedValues, ...]) -> None:
    assert parameter(schema).alternatives == alternatives


@pytest.mark.parametrize(
    ("schema", "complete"),
    [
        ({"properties": {"model": {}}}, True),
        ({"properties": {"size": {"enum": ["1:1"]}}}, False),
        ({"properties": {"size": {}}, "additionalProperties": False}, True),
        ({"properties": {"model": {}}, "additionalProperties": True}, False),
        ({"properties": {"model": {}}, "additionalProperties": {}}, False),
        ({}, False),
        (None, False),
    ],
)
def test_whether_a_description_looks_complete(schema: Any, complete: bool) -> None:
    assert read(entry(parameters={"input_schema": schema}))[0].is_complete is complete


def test_entries_that_are_none_are_left_out() -> None:
    assert [model.id for model in read(None, "m", {}, {"id": ""}, {"id": " a "}, {"id": "b"})] == ["a", "b"]


def test_an_empty_list_of_go_is_null() -> None:
    assert run_flow(list_models(), [reply({"object": "list", "data": None})]).value == ()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply({"object": "list"}), errors.ApimartServerError),
        (reply({"data": "none"}), errors.ApimartServerError),
        (reply({"data": {"models": 3}}), errors.ApimartServerError),
        (reply(b"<html>"), errors.ApimartServerError),
        (reply(b""), errors.ApimartServerError),
        (reply({"data": []}, 404), errors.ApimartServerError),
        (error_reply(401), errors.ApimartAuthenticationError),
        (error_reply(402), errors.ApimartBalanceError),
        (error_reply(403), errors.ApimartPermissionError),
        (reply({"success": False, "message": "no"}), errors.ApimartServerError),
    ],
)
def test_a_reply_that_is_no_list_is_an_error(answer: Any, kind: type[errors.ApimartError]) -> None:
    assert isinstance(run_flow(list_models(), [answer]).error, kind)
