from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import OutputKind, generation_from_xcom, named_generation
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

from .shapes import RECORDED_COMPLETED, RECORDED_FAILED, RECORDED_PENDING, TASK_ID, URL
from .test_status_shapes import COMPLETED_SHAPES

BODIES = {name: body for name, (body, _) in COMPLETED_SHAPES.items()} | {
    "pending": RECORDED_PENDING,
    "failed": RECORDED_FAILED,
    "unknown word": {"data": {"status": "Brand New"}},
}
KEYS = {
    "generation_id", "modality", "model", "key", "prompt_sha256", "status", "url", "urls", "outputs", "expires_at",
    "cost", "credits_cost", "usage", "created", "completed",
}  # fmt: skip


@pytest.mark.parametrize("shape", BODIES)
def test_xcom_is_plain_json_and_comes_back_the_same(shape: str) -> None:
    generation = read_generation(BODIES[shape], TASK_ID, Modality.IMAGE)
    assert generation is not None
    xcom = generation.known_as(modality=Modality.IMAGE, model="m").to_xcom()
    travelled = json.loads(json.dumps(xcom, allow_nan=False))
    assert travelled == xcom
    assert xcom.keys() >= KEYS
    assert generation_from_xcom(travelled).to_xcom() == xcom
    assert generation_from_xcom(travelled).status is generation.status


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"status": None, "outputs": None, "usage": [], "result": "x", "modality": "smell"},
        {"outputs": [None, 5, {}, {"url": []}, {"url": URL, "kind": "hologram", "expires_at": "never"}]},
        {"created": 5, "completed": "x", "cost": "dear", "credits_cost": []},
    ],
)
def test_a_damaged_xcom_is_read_as_far_as_it_goes(value: dict[str, Any]) -> None:
    generation = generation_from_xcom(value)
    assert generation.status is GenerationStatus.RUNNING
    assert json.dumps(generation.to_xcom(), allow_nan=False)
    assert [output.url for output in generation.outputs] == ([URL] if len(value.get("outputs") or []) == 5 else [])


def test_known_as_keeps_what_is_known() -> None:
    generation = generation_from_xcom({"modality": "video", "model": "a"})
    assert generation.known_as(modality=Modality.IMAGE, model="b") == generation
    unknown = replace(generation, modality=None, model=None)
    assert unknown.known_as(modality=Modality.IMAGE, model="b").model == "b"


def test_named_by_its_id() -> None:
    named = named_generation(f"  {TASK_ID}\n")
    assert (named.generation_id, named.status) == (TASK_ID, GenerationStatus.RUNNING)


@pytest.mark.parametrize("render", [lambda x: x, json.dumps, str, lambda x: f"\n {x} "])
def test_named_by_what_an_operator_returned(render: Any) -> None:
    generation = read_generation(RECORDED_COMPLETED, TASK_ID, Modality.IMAGE)
    assert generation is not None
    named = named_generation(render(generation.to_xcom()))
    assert named.to_xcom() == generation.to_xcom()
    assert named.outputs[0].kind is OutputKind.IMAGE


def test_a_finished_generation_without_an_id_is_named_by_its_result() -> None:
    assert named_generation({"status": "completed", "outputs": [{"url": URL}]}).outputs[0].url == URL


@pytest.mark.parametrize(
    "value", [None, "", "  ", 5, [], {}, {"status": "processing"}, {"generation_id": ""}, [TASK_ID], b"x"]
)
def test_what_names_none_is_refused(value: object) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="names no generation"):
        named_generation(value)


@pytest.mark.parametrize("value", ["{[]: 1}", "{{}}", "{{ }}", "{{[]}}", "{{ x }}", "{'a':", "{1, 2", "{" * 10_000])
def test_a_text_that_only_begins_like_an_object_names_none(value: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="names no generation"):
        named_generation(value)


@pytest.mark.parametrize("value", ["None", "null", "nan", "NaT", "<NA>", " none "])
def test_the_text_of_a_missing_value_names_none(value: str) -> None:
    with pytest.raises(ApimartInvalidRequestError, match="names no generation"):
        named_generation(value)


@pytest.mark.parametrize("value", ["{}", "{1}", "{'status': 'processing'}", '{"generation_id": null}'])
def test_a_rendered_mapping_that_names_none_is_refused(value: str) -> None:
    with pytest.raises(ApimartInvalidRequestError):
        named_generation(value)
