from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.dialects import DIALECTS, ERROR_FORMS, STATUS_SHAPES, SUBMIT_SHAPES

from .support import PAYLOAD, QUICK, VIDEO_PAYLOAD, http, quick_hook, wire

WITHOUT_MEDIA = ("T6", "T7")


def generated(hook: ApimartHook, modality: str, key: str = "k", **payload: Any) -> Any:
    given = {**(PAYLOAD if modality == "image" else VIDEO_PAYLOAD), **payload}
    generation = hook.submit_generation(modality, given, idempotency_key=key).generation
    if generation.status.is_final:
        return generation
    assert generation.generation_id is not None
    return hook.wait_for_generation(generation.generation_id, timeout=10, poll_interval=0.02, modality=modality)


@pytest.mark.parametrize("modality", ["image", "video"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_works_without_configuration(
    dialect: str, modality: str, sandbox: Sandbox, hook: ApimartHook
) -> None:
    sandbox.configure(dialect=dialect)
    generation = generated(hook, modality)
    assert generation.status is GenerationStatus.COMPLETED
    (made,) = sandbox.generations
    if DIALECTS[dialect].endswith(WITHOUT_MEDIA):
        assert generation.to_xcom()["result"]
    else:
        assert generation.to_xcom()["urls"] == list(made.urls)
    assert sandbox.billed == 1


@pytest.mark.parametrize("route", ["tasks", "generations", "both"])
@pytest.mark.parametrize("shape", STATUS_SHAPES)
def test_every_status_shape_on_every_route(shape: str, route: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(dialect=f"S1+{shape}@{route}")
    generation = generated(hook, "image", n=2)
    told = generation.to_xcom()
    if shape in WITHOUT_MEDIA:
        assert (told["urls"], bool(told["result"])) == ([], True)
        return
    urls = list(sandbox.generations[0].urls)
    assert told["urls"] == (urls[:1] if shape == "T10" else urls)


@pytest.mark.parametrize("shape", SUBMIT_SHAPES)
def test_every_submit_shape(shape: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(dialect=f"{shape}+T1")
    generation = generated(hook, "image")
    assert generation.to_xcom()["urls"] == list(sandbox.generations[0].urls)
    assert generation.generation_id == (None if shape == "S5" else sandbox.generations[0].generation_id)


@pytest.mark.parametrize("form", ERROR_FORMS)
def test_every_form_of_failure(form: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(error_form=form)
    with pytest.raises(errors.ApimartGenerationFailedError, match=r"^Upstream error\. The generation failed") as raised:
        generated(hook, "image", prompt="[sandbox: fail upstream error]")
    assert raised.value.generation_id == sandbox.generations[0].generation_id
    assert sandbox.billed == 0


@pytest.mark.parametrize("form", ERROR_FORMS)
def test_moderation_of_a_result(form: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(error_form=form)
    with pytest.raises(errors.ApimartModerationError, match="SensitiveContentDetected"):
        generated(hook, "image", prompt="[sandbox: moderation]")


@pytest.mark.parametrize("word", ["modal", "QUEUED", "a_new_word", "not_start", "In_Progress"])
def test_words_that_mean_running_are_waited_through(word: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(status_words={"pending": word, "processing": word}, seconds=0.15)
    seen: list[str] = []
    submission = hook.submit_generation("image", PAYLOAD, idempotency_key="k")
    generation_id = submission.generation.generation_id
    assert generation_id is not None
    generation = hook.wait_for_generation(
        generation_id, timeout=10, poll_interval=0.02, on_status=lambda look: seen.append(look.status_word)
    )
    assert generation.status is GenerationStatus.COMPLETED
    assert word.lower() in seen


@pytest.mark.parametrize("word", ["failure", "CANCELLED", "canceled", "cancel", "Expired"])
def test_words_that_mean_failed_end_the_wait(word: str, sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.configure(status_words={"failed": word})
    with pytest.raises(errors.ApimartGenerationFailedError):
        generated(hook, "image", prompt="[sandbox: fail]")


def test_a_wait_that_runs_out_says_the_id_and_finds_it_again(sandbox: Sandbox, hook: ApimartHook) -> None:
    generation_id = hook.submit_generation(
        "image", {**PAYLOAD, "prompt": "[sandbox: stuck]"}, idempotency_key="k"
    ).generation.generation_id
    assert generation_id is not None
    with pytest.raises(errors.ApimartWaitTimeoutError, match=generation_id):
        hook.wait_for_generation(generation_id, timeout=0.05, poll_interval=0.02)
    sandbox.complete_all()
    assert hook.wait_for_generation(generation_id, timeout=5).status is GenerationStatus.COMPLETED
    assert sandbox.accepted == 1


def test_a_wait_survives_failed_reads(sandbox: Sandbox, hook: ApimartHook) -> None:
    sandbox.inject(Fault("bad_gateway", on="status", times=3), Fault("reset", on="status", skip=1))
    assert generated(hook, "image").status is GenerationStatus.COMPLETED


INVALID, SERVER = "invalid_request_error", "server_error"
INVALID_SIZE = "build_request_failed: invalid size: 1024x1024, allowed: 1:1 / 16:9"
MODERATED = "build_request_failed: content moderation failed: sensitive content detected"
FAILED = {
    "code": 200,
    "data": {
        "id": "task_x",
        "status": "failed",
        "progress": 100,
        "created": 1781589029,
        "completed": 1781589050,
        "error": {"message": "upstream error", "code": ""},
    },
}


def said(message: str, type_: str, **more: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, **more}}


Recorded = tuple[str, int, dict[str, Any], type[errors.ApimartError], int]
# Bodies as they were recorded or documented: route, status, body, error, and how many requests it takes to give up.
RECORDED: list[Recorded] = [
    (
        "upload",
        400,
        said("missing or invalid file field: http: no such file", INVALID),
        errors.ApimartInvalidRequestError,
        1,
    ),
    (
        "upload",
        400,
        said("unsupported image type: application/pdf, allowed: jpeg, png, gif, webp", INVALID),
        errors.ApimartInvalidRequestError,
        1,
    ),
    (
        "upload",
        413,
        said("file size 25165824 exceeds maximum 20971520 bytes", INVALID),
        errors.ApimartInvalidRequestError,
        1,
    ),
    (
        "upload",
        429,
        said("Rate limit exceeded. Please try again later", "rate_limit_error", code=429),
        errors.ApimartRateLimitError,
        1,
    ),
    ("upload", 500, said("failed to upload image", SERVER), errors.ApimartServerError, 5),
    ("submit", 400, said("prompt is required", INVALID, code=400), errors.ApimartInvalidRequestError, 1),
    ("submit", 402, said("insufficient balance", "payment_required", code=402), errors.ApimartBalanceError, 1),
    (
        "submit",
        403,
        said("no permission for this model", "permission_error", code=403),
        errors.ApimartPermissionError,
        1,
    ),
    ("submit", 500, said(INVALID_SIZE, SERVER, code=500), errors.ApimartInvalidRequestError, 1),
    ("submit", 500, said(MODERATED, SERVER, code=500), errors.ApimartModerationError, 1),
    (
        "submit",
        401,
        said("invalid API key (request id: 20260919112233445566)", "apimart_error", code="", param=""),
        errors.ApimartAuthenticationError,
        1,
    ),
    ("task", 200, FAILED, errors.ApimartGenerationFailedError, 1),
]


@pytest.mark.parametrize(("route", "status", "body", "kind", "requests"), RECORDED)
def test_recorded_and_documented_errors(
    route: str,
    status: int,
    body: dict[str, Any],
    kind: type[errors.ApimartError],
    requests: int,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with wire(http(f"{status} Said", json.dumps(body).encode())) as server:
        hook = quick_hook(monkeypatch, server.url)
        hook.upload_policy = replace(QUICK, rate_limited_seconds=-1.0)
        calls: dict[str, Callable[[], object]] = {
            "upload": lambda: hook.upload_image(picture),
            "submit": lambda: hook.submit_generation("image", PAYLOAD, idempotency_key="k"),
            "task": lambda: hook.wait_for_generation("task_x"),
        }
        with pytest.raises(errors.ApimartError) as raised:
            calls[route]()
    assert type(raised.value) is kind
    assert len(server.received) == requests
