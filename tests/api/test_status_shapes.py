from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, OutputKind
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import parse

from .shapes import (
    AUDIO_URL,
    FRAME_URL,
    OTHER_URL,
    RECORDED_COMPLETED,
    RECORDED_FAILED,
    RECORDED_PENDING,
    TASK_ID,
    URL,
    VIDEO_URL,
    completed,
)

EXPIRES = 1789893301


def read(body: object, modality: Modality | None = None) -> Generation:
    generation = read_generation(parse(json.dumps(body).encode()), TASK_ID, modality)
    assert generation is not None
    return generation


def kinds_and_urls(generation: Generation) -> list[tuple[str, str]]:
    return [(output.kind.value, output.url) for output in generation.outputs]


MIDJOURNEY = {
    "id": TASK_ID,
    "action": "IMAGINE",
    "status": "SUCCESS",
    "progress": "100%",
    "image_urls": [URL, OTHER_URL],
    "video_url": "",
    "fail_reason": "",
}

WAV_URL = "https://cdn.example.com/a.wav"
OTHER_AUDIO_URL = "https://cdn.example.com/b.mp3"
TRACK = {
    "audio_id": "a-1",
    "title": "Waltz",
    "lyrics": "la la",
    "duration": 31.5,
    "audio_url": AUDIO_URL,
    "wav_url": WAV_URL,
    "image_url": URL,
    "image_large_url": OTHER_URL,
}

COMPLETED_SHAPES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "T1": (RECORDED_COMPLETED, [("image", URL)]),
    "T2": (completed({"images": [{"url": URL, "expires_at": EXPIRES}]}), [("image", URL)]),
    "T3 objects": (completed({"videos": [{"url": VIDEO_URL}]}), [("video", VIDEO_URL)]),
    "T3 url list": (completed({"videos": [{"url": [VIDEO_URL]}]}), [("video", VIDEO_URL)]),
    "T3 with last frame": (
        completed({"videos": [{"url": VIDEO_URL, "last_frame_url": FRAME_URL}]}),
        [("video", VIDEO_URL), ("last_frame", FRAME_URL)],
    ),
    "T3 with empty last frame": (
        completed({"videos": [{"url": VIDEO_URL, "last_frame_url": ""}]}),
        [("video", VIDEO_URL)],
    ),
    "T4 audios": (completed({"audios": [{"url": AUDIO_URL}]}), [("audio", AUDIO_URL)]),
    "T4 plain strings": (completed({"videos": [VIDEO_URL]}), [("video", VIDEO_URL)]),
    "T4 plain audio strings": (completed({"audios": [AUDIO_URL]}), [("audio", AUDIO_URL)]),
    "T4 plain image strings": (completed({"images": [URL, OTHER_URL]}), [("image", URL), ("image", OTHER_URL)]),
    "T5": (
        {"id": TASK_ID, "status": "success", "result": {"images": [{"url": [URL]}], "layers": [{"z": 0}]}},
        [("image", URL)],
    ),
    "T6": (completed({"prompt": "A picture of a fox"}), []),
    "T7": (completed({"objects": [{"label": "fox", "score": 0.98}]}), []),
    "T8": (MIDJOURNEY, [("image", URL), ("image", OTHER_URL)]),
    "T8 video": ({**MIDJOURNEY, "image_urls": [], "video_url": VIDEO_URL}, [("video", VIDEO_URL)]),
    "T8 null lists": ({**MIDJOURNEY, "image_urls": None, "video_url": None}, []),
    "T10": ({"status": "completed", "url": URL, "fail_reason": ""}, [("image", URL)]),
    "T10 video by its suffix": ({"status": "completed", "url": VIDEO_URL}, [("video", VIDEO_URL)]),
    "T12 one list": (
        completed({"images": [{"url": [URL, OTHER_URL], "expires_at": EXPIRES}]}),
        [("image", URL), ("image", OTHER_URL)],
    ),
    "T12 several items": (
        completed({"images": [{"url": [URL]}, {"url": [OTHER_URL]}]}),
        [("image", URL), ("image", OTHER_URL)],
    ),
    "T12 both levels, with a repetition": (
        completed({"images": [{"url": [URL, OTHER_URL]}, {"url": URL}]}),
        [("image", URL), ("image", OTHER_URL)],
    ),
    "images and videos": (
        completed({"videos": [{"url": VIDEO_URL}], "images": [{"url": URL}]}),
        [("image", URL), ("video", VIDEO_URL)],
    ),
    "music": (
        completed({"music": [TRACK, {**TRACK, "audio_url": OTHER_AUDIO_URL, "wav_url": None, "image_large_url": ""}]}),
        [
            *(("audio", AUDIO_URL), ("audio", OTHER_AUDIO_URL)),
            *(("audio_wav", WAV_URL), ("cover", OTHER_URL), ("cover", URL)),
        ],
    ),
    "music as WAV only": (completed({"music": [{"wav_url": WAV_URL}]}), [("audio", WAV_URL)]),
    "music with one file under two names": (
        completed({"music": [{"audio_url": WAV_URL, "wav_url": WAV_URL}]}),
        [("audio", WAV_URL)],
    ),
    "music as plain strings": (completed({"music": [AUDIO_URL]}), [("audio", AUDIO_URL)]),
    "music as one object with lists": (
        completed({"music": {"audio_url": [AUDIO_URL, OTHER_AUDIO_URL]}}),
        [("audio", AUDIO_URL), ("audio", OTHER_AUDIO_URL)],
    ),
    "music without an envelope": (
        {"status": "SUCCESS", "music": [{"audio_url": AUDIO_URL}]},
        [("audio", AUDIO_URL)],
    ),
    "one object where a list is documented": (completed({"images": {"url": URL}}), [("image", URL)]),
    "result is a list": (completed([URL]), [("image", URL)]),
    "data is a list": ({"code": 200, "data": [{"status": "completed", "result": {"images": [URL]}}]}, [("image", URL)]),
    "what is no public URL is left out": (
        completed({"images": [{"url": ["", "file:///a", "data:x", URL, 5]}]}),
        [("image", URL)],
    ),
    "null result": (completed(None), []),
    "no result": ({"status": "completed"}, []),
}


@pytest.mark.parametrize("shape", COMPLETED_SHAPES)
def test_every_shape_gives_its_outputs(shape: str) -> None:
    body, expected = COMPLETED_SHAPES[shape]
    generation = read(body)
    assert generation.status is GenerationStatus.COMPLETED
    assert kinds_and_urls(generation) == expected
    xcom = generation.to_xcom()
    assert xcom["urls"] == [url for _, url in expected]
    assert xcom["url"] == (expected[0][1] if expected else None)


def test_recorded_completed_in_full() -> None:
    assert read(RECORDED_COMPLETED, Modality.IMAGE).to_xcom() == {
        "generation_id": TASK_ID,
        "modality": "image",
        "model": None,
        "key": None,
        "prompt_sha256": None,
        "status": "completed",
        "url": URL,
        "urls": [URL],
        "outputs": [{"url": URL, "kind": "image", "expires_at": "2026-09-20T08:35:01+00:00"}],
        "expires_at": "2026-09-20T08:35:01+00:00",
        "cost": 0.00476,
        "credits_cost": 0.0476,
        "usage": RECORDED_COMPLETED["data"]["usage"],
        "created": "2026-09-19T08:34:54+00:00",
        "completed": "2026-09-19T08:35:01+00:00",
        "requested": None,
        "reused": None,
        "quote": None,
        "result": None,
    }


def test_the_facts_of_tracks_are_kept_beside_their_files() -> None:
    generation = read(completed({"music": [TRACK, "https://cdn.example.com/c.mp3"]}), Modality.MUSIC)

    facts = {"audio_id": "a-1", "title": "Waltz", "lyrics": "la la", "duration": 31.5}
    assert generation.to_xcom()["result"] == {"music": [facts, {}]}


def test_a_bare_url_of_music_is_audio() -> None:
    body = {"status": "completed", "url": "https://cdn.example.com/x"}

    kinds = {modality: kinds_and_urls(read(body, modality))[0][0] for modality in Modality}
    assert kinds == {"image": "image", "video": "video", "music": "audio"}


def test_recorded_pending() -> None:
    generation = read(RECORDED_PENDING)
    assert generation.status is GenerationStatus.RUNNING
    assert (generation.status_word, generation.progress, generation.estimated_seconds) == ("pending", 0.0, 60.0)
    assert generation.created == datetime(2026, 9, 19, 8, 34, 54, tzinfo=UTC)
    assert generation.outputs == ()
    assert generation.to_xcom()["status"] == "pending"


@pytest.mark.parametrize("word", ["submitted", "pending", "queued", "processing", "in_progress", "not_start", "modal"])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_words_that_mean_running(word: str, spelling: Any) -> None:
    assert read({"data": {"status": spelling(word)}}).status is GenerationStatus.RUNNING


@pytest.mark.parametrize("word", ["brand_new", "ok", "done?", "erfolgreich", "成功", "complete d", "running"])
def test_unknown_words_mean_running(word: str) -> None:
    generation = read({"data": {"status": word, "result": {"images": [URL]}}})
    assert (generation.status, generation.status_word) == (GenerationStatus.RUNNING, word)
    assert generation.outputs == ()


@pytest.mark.parametrize("word", ["completed", "success", "succeeded"])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_words_that_mean_completed(word: str, spelling: Any) -> None:
    assert read({"data": {"status": spelling(word)}}).status is GenerationStatus.COMPLETED


@pytest.mark.parametrize("word", ["failed", "failure", "cancelled", "canceled", "cancel", "expired"])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_words_that_mean_failed(word: str, spelling: Any) -> None:
    generation = read({"data": {"status": spelling(word)}})
    assert generation.status is GenerationStatus.FAILED
    assert generation.failure is not None
    assert generation.failure.message == "no reason given"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        5,
        "completed",
        {"data": None},
        {"data": []},
        {"data": {"status": 5}},
        {"status": None},
        {"data": {"status": ""}},
    ],
)
def test_a_body_without_a_status_word_is_no_generation(body: object) -> None:
    assert read_generation(body) is None


FAILURES: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "recorded": (RECORDED_FAILED["data"], "upstream error", None),
    "int code": ({"error": {"message": "m", "type": "server_error", "code": 500}}, "m", "500"),
    "string code": ({"error": {"message": "m", "type": "t", "code": "upstream_error"}}, "m", "upstream_error"),
    "empty code falls back to the type": ({"error": {"message": "m", "type": "t", "code": ""}}, "m", "t"),
    "string": ({"error": "it broke"}, "it broke", None),
    "fail_reason": ({"fail_reason": "it broke"}, "it broke", None),
    "empty error, fail_reason": ({"error": None, "fail_reason": "it broke"}, "it broke", None),
    "empty string error, fail_reason": ({"error": "", "fail_reason": "it broke"}, "it broke", None),
    "object without message, fail_reason": ({"error": {"code": "c"}, "fail_reason": "it broke"}, "it broke", "c"),
    "nothing": ({}, "no reason given", None),
    "wrong types": ({"error": [1], "fail_reason": {"a": 1}}, "no reason given", None),
}


@pytest.mark.parametrize("form", FAILURES)
def test_every_form_of_failure(form: str) -> None:
    said, message, code = FAILURES[form]
    generation = read({"code": 200, "data": {**said, "status": "failed"}})
    assert generation.status is GenerationStatus.FAILED
    assert generation.failure is not None
    assert (generation.failure.message, generation.failure.code) == (message, code)
    assert not generation.failure.is_moderation


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "SensitiveContentDetected: blocked", "code": ""}},
        {"error": {"message": "content moderation failed", "code": 500}},
        {"error": {"message": "the output is SENSITIVE"}},
        {"error": {"message": "Banned prompt detected"}},
        {"error": {"message": "x", "code": "nsfw_content_detected"}},
        {"error": {"message": "x", "type": "moderation_error", "code": ""}},
        {"error": "sensitive words"},
        {"fail_reason": "Banned Prompt: gore"},
    ],
)
def test_moderation_is_recognised(said: dict[str, Any]) -> None:
    generation = read({"data": {**said, "status": "FAILURE"}})
    assert generation.failure is not None
    assert generation.failure.is_moderation


@pytest.mark.parametrize("shape", ["failed", "completed"])
def test_cost_is_read_for_every_end(shape: str) -> None:
    generation = read({"data": {"status": shape, "cost": 0, "credits_cost": 0}})
    assert (generation.cost, generation.credits_cost) == (Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    ("noisy", "exact"),
    [
        (0.47600000000000003, "0.476"),
        (0.30000000000000004, "0.3"),
        (1.1, "1.1"),
        (3, "3"),
        ("0.25", "0.25"),
        (1e-7, "1E-7"),
    ],
)
def test_float_noise_of_money_is_gone(noisy: object, exact: str) -> None:
    generation = read(completed({}, cost=noisy, credits_cost=noisy))
    assert generation.cost == generation.credits_cost == Decimal(exact)
    assert generation.to_xcom()["credits_cost"] == float(exact)


@pytest.mark.parametrize("missing", [None, "", "free", [], {}, True])
def test_money_that_is_none_stays_none(missing: object) -> None:
    xcom = read(completed({}, cost=missing, credits_cost=missing)).to_xcom()
    assert (xcom["cost"], xcom["credits_cost"]) == (None, None)


MOMENT = datetime(2026, 9, 19, 8, 35, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        1789806901,
        1789806901000,
        1789806901.0,
        "1789806901",
        "2026-09-19T08:35:01Z",
        "2026-09-19T10:35:01+02:00",
        "2026-09-19T08:35:01",
    ],
)
def test_times_in_every_unit(written: object) -> None:
    generation = read(completed({"images": [{"url": URL}]}, completed=written))
    assert generation.completed == MOMENT
    assert generation.expires_at == MOMENT + timedelta(hours=24)


@pytest.mark.parametrize(
    "written", [0, -5, None, "", "soon", [], {}, True, 1e300, "9" * 400, "0001-01-01T00:00:00+14:00"]
)
def test_times_that_are_none(written: object) -> None:
    earliest = datetime.now(UTC)
    generation = read(completed({"images": [{"url": URL}]}, completed=written, created=written))
    assert (generation.completed, generation.created) == (None, None)
    # What may have come just now is taken to have done so: the one moment that is known is that of the reply.
    assert generation.expires_at is not None
    assert earliest <= generation.expires_at - timedelta(hours=24) <= datetime.now(UTC)


def test_expiry_in_milliseconds() -> None:
    generation = read(completed({"images": [{"url": URL, "expires_at": EXPIRES * 1000}]}))
    assert generation.expires_at == datetime.fromtimestamp(EXPIRES, UTC)


def test_a_given_expiry_comes_before_the_assumed_one() -> None:
    generation = read(completed({"images": [{"url": URL, "expires_at": EXPIRES}]}, completed=1))
    assert generation.expires_at == datetime.fromtimestamp(EXPIRES, UTC)


def test_without_completion_the_creation_is_counted_from() -> None:
    generation = read(completed({"images": [{"url": URL}]}, created=1789806901))
    assert generation.expires_at == MOMENT + timedelta(hours=24)


def test_expiry_of_a_generation_is_the_first_of_its_outputs() -> None:
    items = [{"url": URL, "expires_at": EXPIRES + 5}, {"url": OTHER_URL, "expires_at": EXPIRES}]
    assert read(completed({"images": items})).expires_at == datetime.fromtimestamp(EXPIRES, UTC)


@pytest.mark.parametrize(
    ("written", "percent"), [(45, 45.0), ("45%", 45.0), ("45 %", 45.0), ("", None), (None, None), ("half", None)]
)
def test_progress(written: object, percent: float | None) -> None:
    assert read({"data": {"status": "processing", "progress": written}}).progress == percent


def test_text_and_objects_results_survive() -> None:
    assert read(COMPLETED_SHAPES["T6"][0]).to_xcom()["result"] == {"prompt": "A picture of a fox"}
    assert read(COMPLETED_SHAPES["T7"][0]).to_xcom()["result"] == {"objects": [{"label": "fox", "score": 0.98}]}


def test_extra_keys_beside_the_media_survive() -> None:
    assert read(COMPLETED_SHAPES["T5"][0]).to_xcom()["result"] == {"layers": [{"z": 0}]}


def test_midjourney_extras_survive() -> None:
    assert read(MIDJOURNEY).to_xcom()["result"] == {"action": "IMAGINE"}


@pytest.mark.parametrize(
    ("modality", "kind"),
    [(Modality.VIDEO, OutputKind.VIDEO), (Modality.IMAGE, OutputKind.IMAGE), (None, OutputKind.IMAGE)],
)
def test_a_bare_url_without_suffix_is_what_was_asked_for(modality: Modality | None, kind: OutputKind) -> None:
    generation = read({"status": "completed", "url": "https://cdn.apimart.ai/result/77"}, modality)
    assert generation.outputs[0].kind is kind


def test_the_requested_id_comes_before_the_one_answered() -> None:
    assert read(RECORDED_FAILED).generation_id == TASK_ID
    generation = read_generation(RECORDED_FAILED)
    assert generation is not None
    assert generation.generation_id == "task_x"
