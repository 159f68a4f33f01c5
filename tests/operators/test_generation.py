"""Generation operators without a running Airflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.operators.generation import (
    ApimartGenerationOperator,
    ApimartImageGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from airflow_provider_apimart.triggers.generation import ApimartGenerationTrigger
from tests.batch.bare import task_context

MODEL = "gemini-3-pro-image-preview"


@pytest.mark.parametrize("operator_class", [ApimartImageGenerationOperator, ApimartVideoGenerationOperator])
def test_every_argument_that_is_sent_is_templated(operator_class: type[ApimartGenerationOperator]) -> None:
    assert set(operator_class.payload_fields) <= set(operator_class.template_fields)
    assert {"parameters", "key", "apimart_conn_id"} <= set(operator_class.template_fields)


def test_an_image_request_is_sent_as_the_contract_says() -> None:
    operator = ApimartImageGenerationOperator(
        task_id="generate",
        model="m",
        prompt="p",
        image_urls="https://example.com/a.png",
        n="2",
        seed="7",
        parameters={"style": {"name": "x"}, "duration": "5"},
    )
    assert operator.payload() == {
        "model": "m",
        "prompt": "p",
        "image_urls": ["https://example.com/a.png"],
        "n": 2,
        "seed": 7,
        "style": {"name": "x"},
        "duration": 5,
    }


def test_a_video_request_is_sent_as_the_contract_says() -> None:
    operator = ApimartVideoGenerationOperator(
        task_id="generate",
        model="m",
        prompt="p",
        duration="5",
        aspect_ratio="16:9",
        image_with_roles=[{"url": "https://example.com/a.png", "role": "first_frame"}],
    )
    assert operator.payload() == {
        "model": "m",
        "prompt": "p",
        "duration": 5,
        "aspect_ratio": "16:9",
        "image_with_roles": [{"url": "https://example.com/a.png", "role": "first_frame"}],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "", "prompt": "p"}, "has no model"),
        ({"model": "m"}, "neither a prompt nor any other input"),
        ({"model": "m", "prompt": " "}, "has an empty prompt"),
        ({"model": "m", "prompt": "p", "image_urls": ["reference.jpg"]}, "ApimartUploadImageOperator"),
        ({"model": "m", "prompt": "p", "image_urls": ["file:///tmp/a.png"]}, "file://"),
        ({"model": "m", "prompt": "p", "mask_url": "data:image/png;base64,AAAA"}, "data: URL"),
        ({"model": "m", "prompt": "p", "parameters": {"prompt": "q"}}, "both as an argument and in parameters"),
        ({"model": "m", "prompt": "p", "n": "two"}, "must be a number"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_call(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    operator = ApimartImageGenerationOperator(task_id="generate", **arguments)
    with pytest.raises(ApimartInvalidRequestError, match=said):
        operator.execute({"ti": None})  # type: ignore[typeddict-item]  # refused before the context is used
    assert sandbox.requests == ()


@pytest.mark.parametrize(
    ("key", "name"), [("kettle", "kettle"), (7, "7"), (2.0, "2"), ("Ärmel 9", "Ärmel 9"), (None, None)]
)
def test_a_key_names_the_generation_and_its_files(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    key: Any,
    name: str | None,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    task = ApimartImageGenerationOperator(task_id="generate", model=MODEL, prompt="p", key=key, poll_interval=0.05)
    returned = task.execute(task_context())
    # Absent instead of None where Airflow refuses a None.
    assert returned.get("key") == name
    assert (f"{MODEL}, key {name}: " in capsys.readouterr().out) is (name is not None)
    assert "key" not in sandbox.generations[0].payload
    (generation,) = task.lineage_facts.listed if task.lineage_facts else ()
    assert generation.to_json()["key"] == name
    sensor = ApimartGenerationSensor(task_id="wait", generation=returned, poke_interval=0.05)
    assert sensor.execute(task_context()).get("key") == name
    for given in (returned, json.dumps(returned)):
        save = ApimartToObjectStorageOperator(
            task_id="save", generation=given, destination=str(tmp_path), filename="{key}_{index}"
        )
        (uri,) = save.execute(task_context())
        assert uri.endswith(f"/{name or returned['generation_id']}_0.png")


@pytest.mark.parametrize("key", ["", " ", "a\nb", "x" * 201, True, 1.5, ["a"], {"a": 1}])
def test_a_key_that_names_nothing_is_refused_when_the_dag_is_parsed(key: Any) -> None:
    with pytest.raises(ValueError, match="key must be a text of 1 to 200 printable characters"):
        ApimartImageGenerationOperator(task_id="generate", model="m", prompt="p", key=key)


@pytest.mark.parametrize("arguments", [{"on_unknown_outcome": "maybe"}, {"poll_interval": 0}, {"poll_interval": -1.0}])
def test_a_bad_setting_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ApimartImageGenerationOperator(task_id="generate", model="m", prompt="p", **arguments)


def test_killing_a_task_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    operator = ApimartImageGenerationOperator(task_id="generate", model="m", prompt="p")
    operator._generation_id = "task_123"
    operator.on_kill()
    assert "Generation task_123 keeps running and is charged" in capsys.readouterr().out


async def test_killing_a_deferred_task_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    await ApimartGenerationTrigger("task_123", started_at=0).on_kill()
    assert "Generation task_123 keeps running and is charged" in capsys.readouterr().out


def test_an_older_trigger_resumes_after_an_upgrade() -> None:
    """Every argument but the first two has a default, and what is serialised makes the same trigger."""
    path, arguments = ApimartGenerationTrigger("task_123", 1.0).serialize()
    assert path == f"{ApimartGenerationTrigger.__module__}.{ApimartGenerationTrigger.__qualname__}"
    assert ApimartGenerationTrigger(**arguments).serialize() == (path, arguments)
    assert {type(value) for value in arguments.values()} <= {str, float, int, type(None)}
