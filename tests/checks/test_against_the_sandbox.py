"""Properties: no finding about a request that the strict sandbox takes, and a finding about every near misspelling."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.models import ModelDescription, Parameter
from airflow_provider_apimart.api.payload import build_payload
from airflow_provider_apimart.checks.findings import Models
from airflow_provider_apimart.sandbox import Sandbox

from .test_spelling import edited

URLS = st.lists(st.sampled_from(["https://example.com/a.png", "https://example.com/b.png"]), max_size=18)
OF_TYPE: dict[str | None, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["a fox", "1:1", "16:9", "1K", "720p", "high", "v6", "mp3", "1024x1024"]),
    "integer": st.integers(-2, 400),
    "number": st.floats(-1, 2, allow_nan=False),
    "boolean": st.booleans(),
    "object": st.just({"team": "media"}),
    "array": URLS,
}


def values(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Draw values of a parameter, some of which its description rules out."""
    limits = parameter.alternatives[0]
    listed = st.sampled_from(limits.enum) if limits.enum else st.nothing()
    roles = st.just([{"url": "https://example.com/a.png", "role": "first_frame"}])
    return roles if parameter.name == "image_with_roles" else listed | OF_TYPE[parameter.type]


@st.composite
def requests_of(draw: st.DrawFn, models: Models) -> tuple[ModelDescription, dict[str, Any]]:
    """Draw a request of one of the models."""
    model = draw(st.sampled_from(models.listed))
    names = draw(st.sets(st.sampled_from(sorted(set(model.parameters) - {"model", "mask_url"})), max_size=4))
    given_fields = {name: draw(values(model.parameters[name])) for name in sorted(names)}
    start = {"prompt": "a fox"} if "prompt" in model.parameters else {"lyrics": "a fox"}
    return model, {"model": model.id, **start, **given_fields}


def is_taken(sandbox: Sandbox, model: ModelDescription, payload: dict[str, Any]) -> bool:
    answer = requests.post(
        f"{sandbox.base_url}{model.endpoint}",
        data=json.dumps(payload),
        headers={"Authorization": "Bearer sk-sandbox-unlimited", "Content-Type": "application/json"},
        timeout=10,
    )
    return answer.status_code < 300


@settings(max_examples=400)
@given(data=st.data())
def test_nothing_is_found_in_what_the_strict_sandbox_takes(
    data: st.DataObject, strict_sandbox: Sandbox, described: Models
) -> None:
    model, written = data.draw(requests_of(described))
    payload = build_payload(written, None)
    modality = next(iter(model.modalities))
    findings = described.findings(modality, payload)
    if is_taken(strict_sandbox, model, payload):
        assert findings == []


def test_every_model_takes_the_values_that_it_lists(described: Models) -> None:
    for model in described.listed:
        for parameter in model.parameters.values():
            for value in parameter.alternatives[0].enum or ():
                payload = {"model": model.id, parameter.name: value}
                assert described.findings(next(iter(model.modalities)), payload) == []


@settings(max_examples=400)
@given(data=st.data())
def test_every_near_misspelling_is_found(data: st.DataObject, described: Models) -> None:
    model = data.draw(st.sampled_from(described.listed))
    long_enough = sorted(name for name in model.parameters if len(name) > 3 and name != "model")
    right, wrong = data.draw(edited(st.sampled_from(long_enough)))
    known = {name for each in described.listed for name in each.parameters} | {"length", "image_urls", "mode", "speed"}
    assume(wrong not in known)
    payload = {"model": model.id, "prompt": "a fox", wrong: "x"}
    found = [
        finding for finding in described.findings(next(iter(model.modalities)), payload) if wrong in finding.message
    ]
    assert len(found) == 1
    assert found[0].is_certain
    assert "did you mean" in found[0].message
    assert right


@settings(max_examples=200)
@given(data=st.data())
def test_every_near_misspelling_of_a_model_is_found_with_its_name(data: st.DataObject, described: Models) -> None:
    ids = sorted(model.id for model in described.listed)
    right, wrong = data.draw(edited(st.sampled_from(ids)))
    assume(wrong not in ids)
    (finding,) = described.findings(Modality.IMAGE, {"model": wrong, "prompt": "a fox"})
    assert right in finding.message


@pytest.mark.parametrize("modality", Modality)
def test_no_model_of_another_modality_passes(modality: Modality, described: Models) -> None:
    for model in described.listed:
        findings = described.findings(modality, {"model": model.id})
        assert bool(findings) == (modality not in model.modalities)
