"""Deviations of the service that settings and directives switch on: fewer outputs, young tasks, strict parameters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.sandbox.__main__ import sandbox_of
from airflow_provider_apimart.sandbox.service.model_descriptions import properties
from airflow_provider_apimart.sandbox.service.models import MODELS

from .support import Client


def delivered(data: dict[str, Any]) -> int:
    """Count the outputs of a completed task."""
    return len(data["result"]["images"])


@pytest.mark.parametrize(
    ("body", "outputs", "dollars"),
    [
        ({"n": 3}, 3, "0.15"),
        ({"n": 3, "prompt": "a fox [sandbox: short]"}, 2, "0.10"),
        ({"n": 4, "metadata": {"sandbox": {"outputs": 1}}}, 1, "0.05"),
        ({"prompt": "a fox [sandbox: short]"}, 0, "0"),
    ],
)
def test_a_request_may_get_fewer_outputs(client: Client, body: dict[str, Any], outputs: int, dollars: str) -> None:
    assert delivered(client.finished(**body)) == outputs
    assert client.sandbox.dollars == Decimal(dollars)


@settings(max_examples=25, deadline=None)
@given(asked=strategies.integers(1, 4), limit=strategies.integers(0, 5))
def test_only_delivered_outputs_are_billed(shared: Sandbox, asked: int, limit: int) -> None:
    shared.reset()
    shared.configure(max_outputs=limit)
    client = Client(shared)
    client.task_id(n=asked)
    assert shared.dollars == Decimal("0.05") * asked
    shared.complete_all()

    assert len(shared.generations[0].urls) == min(asked, limit)
    assert shared.dollars == Decimal("0.05") * min(asked, limit)


@pytest.mark.parametrize(("status", "message"), [(404, "task not found"), (400, "invalid task id")])
@pytest.mark.parametrize("kind", ["images", "music"])
def test_a_young_task_is_unknown(client: Client, sandbox: Sandbox, kind: str, status: int, message: str) -> None:
    sandbox.configure(task_visible_after=30.0, unknown_task_status=status)
    model = "suno" if kind == "music" else "gemini-3-pro-image-preview"
    path = f"/v1/{'music/' if kind == 'music' else ''}tasks/{client.task_id(kind=kind, model=model)}"
    reply = client.get(path)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]
    sandbox.advance(29)
    assert client.get(path).status_code == status
    sandbox.advance(20)

    assert client.get(path).json()["data"]["status"] == "completed"


@pytest.mark.parametrize("name", ["promt", "aspect_ration", "resolutoin", "sizzle"])
def test_strict_refuses_unknown_parameters(client: Client, sandbox: Sandbox, name: str) -> None:
    misspelt: dict[str, Any] = {name: "big"}
    assert client.submit(**misspelt).status_code == 200
    sandbox.configure(strict=True)
    reply = client.submit(**misspelt)

    assert reply.status_code == 400
    assert reply.json()["error"] == {
        "code": 400,
        "message": f"unknown parameter: {name}",
        "type": "invalid_request_error",
    }
    assert sandbox.accepted == 1


@pytest.mark.parametrize("model", MODELS)
def test_strict_accepts_everything_that_is_described(sandbox: Sandbox, model: str) -> None:
    sandbox.configure(strict=True)
    client, described = Client(sandbox), MODELS[model]
    url = sandbox.base_url + described.endpoint
    payload = {**dict.fromkeys(properties(described)), "model": model}
    replies = [client.session.post(url, json=body, timeout=10) for body in (payload, {**payload, "sizzle": None})]

    assert ["unknown parameter" in reply.text for reply in replies] == [False, True]


def test_the_command_line_has_the_deviations() -> None:
    chosen = sandbox_of(["--strict", "--max-outputs", "1", "--task-visible-after", "60"]).settings

    assert (chosen.strict, chosen.max_outputs, chosen.task_visible_after) == (True, 1, 60.0)
