"""Checks before a submit: what operators find, refuse and pass on, counted at the sandbox."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.generation import (
    ApimartImageGenerationOperator,
    ApimartMusicGenerationOperator,
    ApimartVideoGenerationOperator,
)
from airflow_provider_apimart.sandbox import Fault, Sandbox
from tests.batch.bare import task_context

CHECKS = "airflow_provider_apimart.checks.check"
IMAGE = "gemini-3-pro-image-preview"
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt model": (
        {"model": "gemini-3-pro-image-preveiw"},
        "Unknown model 'gemini-3-pro-image-preveiw' (did you mean 'gemini-3-pro-image-preview'",
    ),
    "a model for videos": (
        {"model": "kling-v2-6"},
        "Wrong kind of model for image generation: kling-v2-6 (listed for video)",
    ),
    "a wrong ratio": ({"size": "17:9"}, f"Invalid size for {IMAGE}: '17:9' (allowed: 1:1, 2:3, "),
    "too many": ({"n": "5"}, f"Invalid n for {IMAGE}: 5 (allowed: 1 to 4)"),
    "too many references": (
        {"image_urls": [f"https://example.com/{number}.png" for number in range(15)]},
        f"Invalid image_urls for {IMAGE}: 15 entries (allowed: at most 14 entries)",
    ),
    "a misspelt parameter": (
        {"parameters": {"aspect_ration": "16:9"}},
        f"Unknown parameter 'aspect_ration' for {IMAGE} (did you mean 'aspect_ratio'?)",
    ),
}


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    sandbox.configure(seconds=0.05)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, CHECKS)
    return caplog


def said(logged: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.message) for record in logged.records if record.name == CHECKS]


def image(**arguments: Any) -> ApimartImageGenerationOperator:
    given = {"model": IMAGE, "prompt": "a cat", "poll_interval": 0.05, **arguments}
    return ApimartImageGenerationOperator(task_id="generate", **given)


def count(sandbox: Sandbox, route: str) -> int:
    return sum(request.route == route for request in sandbox.requests)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_before_anything_is_sent(mistake: str, sandbox: Sandbox) -> None:
    arguments, message = MISTAKES[mistake]
    with pytest.raises(errors.ApimartInvalidRequestError) as refused:
        image(check="refuse", **arguments).execute(task_context())
    assert message in str(refused.value)
    assert "Nothing was sent" in str(refused.value)
    assert [request.route for request in sandbox.requests] == ["models"]
    assert sandbox.accepted == 0


@pytest.mark.parametrize("mistake", MISTAKES)
def test_by_default_a_mistake_is_logged_and_sent(
    mistake: str, sandbox: Sandbox, logged: pytest.LogCaptureFixture
) -> None:
    arguments, message = MISTAKES[mistake]
    try:
        image(**arguments).execute(task_context())
    except errors.ApimartError:
        # Whatever the service makes of it.
        assert sandbox.billed == 0
    assert count(sandbox, "submit") == 1
    ((level, line),) = said(logged)
    assert (level, message in line) == ("WARNING", True)


def test_nothing_is_asked_for_if_the_check_is_off(sandbox: Sandbox, logged: pytest.LogCaptureFixture) -> None:
    image(check="off", parameters={"aspect_ration": "16:9"}).execute(task_context())
    assert count(sandbox, "models") == 0
    assert said(logged) == []
    assert sandbox.billed == 1


@pytest.mark.parametrize("check", ["warn", "refuse"])
def test_a_good_request_costs_one_read(check: str, sandbox: Sandbox, logged: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        image(check=check, size="16:9", resolution="2K", n=2).execute(task_context())
    assert count(sandbox, "models") == 1
    assert said(logged) == []


def test_a_try_that_takes_up_a_generation_asks_for_nothing(sandbox: Sandbox) -> None:
    """What is paid for is not refused any more."""
    wrong = {"parameters": {"aspect_ration": "16:9"}}
    sandbox.configure(seconds=30)
    with pytest.raises(errors.ApimartWaitTimeoutError):
        image(check="off", timeout=0.1, **wrong).execute(task_context())
    sandbox.complete_all()
    assert image(check="refuse", **wrong).execute(task_context(try_number=2))["status"] == "completed"
    assert count(sandbox, "models") == 0
    assert sandbox.billed == 1


def test_a_lost_submit_is_repeated_and_not_checked_again(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApimartHook, "submit_policy", RetryPolicy(max_requests=1))
    sandbox.inject(Fault("lost_answer"))
    wrong = {"parameters": {"aspect_ration": "16:9"}}
    with pytest.raises(errors.ApimartUnknownOutcomeError):
        image(check="off", **wrong).execute(task_context())
    assert image(check="refuse", **wrong).execute(task_context(try_number=2))["status"] == "completed"
    assert count(sandbox, "models") == 0
    assert sandbox.billed == 1


@pytest.mark.parametrize("check", ["warn", "refuse"])
@pytest.mark.parametrize(
    "fault", ["html_error", "bad_gateway", "forbidden", "garbage_body", "reset", "rate_limited", "redirect"]
)
def test_trouble_with_the_list_costs_one_line(
    fault: str, check: str, sandbox: Sandbox, logged: pytest.LogCaptureFixture
) -> None:
    sandbox.inject(Fault(fault, on="models", times=10, retry_after=3600))
    generation = image(check=check, parameters={"aspect_ration": "16:9"}).execute(task_context())
    assert generation["status"] == "completed"
    assert count(sandbox, "models") == 1
    ((level, line),) = said(logged)
    assert line.startswith("Requests are not checked, since the list of models couldn't be read: ")
    assert level == ("WARNING" if check == "refuse" else "INFO")
    assert sandbox.api_key not in line


def test_a_slow_list_holds_nothing_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {**json.loads(sandbox.connection_json()), "extra": {"timeout": 0.5}}
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(connection))
    sandbox.inject(Fault("no_answer", on="models", seconds=60, times=10))
    began = time.monotonic()
    assert image().execute(task_context())["status"] == "completed"
    assert time.monotonic() - began < 30


def test_a_key_that_may_use_one_model(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    restricted = {**json.loads(sandbox.connection_json()), "password": "sk-sandbox-restricted"}
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(restricted))
    with pytest.raises(errors.ApimartInvalidRequestError, match=f"Unknown model '{IMAGE}'"):
        image(check="refuse").execute(task_context())


def test_videos_and_music_are_checked_too(sandbox: Sandbox) -> None:
    video = ApimartVideoGenerationOperator(
        task_id="v", model="kling-v2-6", prompt="a cat", duration=7, check="refuse", poll_interval=0.05
    )
    with pytest.raises(errors.ApimartInvalidRequestError, match="Invalid duration for kling-v2-6: 7"):
        video.execute(task_context())
    music = ApimartMusicGenerationOperator(
        task_id="m", model="suno", prompt="a waltz", audio_format="ogg", check="refuse", poll_interval=0.05
    )
    with pytest.raises(errors.ApimartInvalidRequestError, match="Invalid audio_format for suno: 'ogg'"):
        music.execute(task_context())
    assert sandbox.accepted == 0


def test_references_are_not_uploaded_for_a_refused_request(sandbox: Sandbox, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(errors.ApimartInvalidRequestError, match="Invalid size"):
        image(check="refuse", size="17:9", image_urls=[picture], upload_references=True).execute(task_context())
    assert sandbox.uploaded == 0


def test_a_wrong_argument_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="check"):
        image(check="maybe")
