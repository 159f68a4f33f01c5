"""Music: routes, tracks with real audio files, validation and billing by call."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import av
import pytest
from av.container import InputContainer
from PIL import Image

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.music import FIELDS

from .support import Client, fetch

SUNO: dict[str, Any] = {"kind": "music", "model": "suno", "prompt": "a waltz for two cellos"}
FLOW: dict[str, Any] = {"kind": "music", "model": "flowmusic", "prompt": None, "sound_prompt": "rain on a tin roof"}


def tracks_of(client: Client, **body: Any) -> list[dict[str, Any]]:
    """Submit music, end it, and return its tracks."""
    task_id = client.task_id(**body)
    client.sandbox.complete_all()
    data = client.get(f"/v1/music/tasks/{task_id}").json()["data"]
    assert data["status"] == "completed"
    tracks: list[dict[str, Any]] = data["result"]["music"]
    return tracks


@pytest.mark.parametrize(
    ("body", "format_name", "seconds"),
    [
        (SUNO, "mp3", 5),
        ({**SUNO, "audio_format": "m4a", "duration": 10}, "mov,mp4,m4a,3gp,3g2,mj2", 5),
        ({**SUNO, "audio_format": "wav"}, "wav", 5),
        ({**FLOW, "length": 2}, "mp3", 2),
        ({**FLOW, "sound_prompt": None, "lyrics": "la la", "length": 1}, "mp3", 1),
    ],
)
def test_both_tracks_are_real_audio(client: Client, body: dict[str, Any], format_name: str, seconds: float) -> None:
    tracks = tracks_of(client, **body)

    assert len(tracks) == 2
    contents = []
    for track in tracks:
        assert track.get("duration", track.get("duration_seconds")) == seconds
        contents.append(fetch(track["audio_url"]).content)
        with av.open(io.BytesIO(contents[-1])) as audio, av.open(io.BytesIO(fetch(track["wav_url"]).content)) as wav:
            assert (audio.format.name, wav.format.name) == (format_name, "wav")
            assert isinstance(audio, InputContainer)
            assert isinstance(wav, InputContainer)
            assert audio.duration is not None
            assert audio.duration / av.time_base == pytest.approx(seconds, abs=0.1)
            assert sum(frame.samples for frame in wav.decode(wav.streams.audio[0])) == pytest.approx(
                seconds * 22_050, abs=10
            )
        assert Image.open(io.BytesIO(fetch(track["image_url"]).content)).size == (512, 512)
        assert Image.open(io.BytesIO(fetch(track["image_large_url"]).content)).size == (1024, 1024)
    assert contents[0] != contents[1]


def test_each_family_names_its_own_fields(client: Client) -> None:
    suno, flow = tracks_of(client, **SUNO, title="Waltz")[0], tracks_of(client, **FLOW)[0]

    assert suno["title"] == "Waltz"
    assert set(suno) - set(flow) == {"audio_id", "duration"}
    assert set(flow) - set(suno) == {"clip_id", "duration_seconds"}


def test_a_call_is_billed_once(client: Client, sandbox: Sandbox) -> None:
    tracks_of(client, **SUNO)
    tracks_of(client, **FLOW)

    assert (sandbox.billed, sandbox.dollars) == (2, Decimal("0.14"))
    assert [len(view.urls) for view in sandbox.generations] == [2, 2]


def test_music_has_a_status_route_of_its_own(client: Client) -> None:
    music, image = client.task_id(**SUNO), client.task_id()

    assert client.get(f"/v1/music/tasks/{music}").status_code == 200
    assert client.get(f"/v1/tasks/{image}").status_code == 200
    assert client.get(f"/v1/tasks/{music}").status_code == 404
    refused = client.get(f"/v1/music/tasks/{image}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "task_not_found")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": None}, "prompt is required"),
        ({"model": "flowmusic"}, None),
        ({"model": "flowmusic", "prompt": None}, "sound_prompt or lyrics is required"),
        ({"duration": "30"}, "cannot unmarshal string into duration"),
        ({"duration": True}, "cannot unmarshal bool into duration"),
        ({"duration": 9}, "allowed: 10 - 360"),
        ({"audio_format": "flac"}, "allowed: mp3 / m4a / wav"),
        ({"instrumental": "true"}, "cannot unmarshal string into instrumental"),
        ({"style_weight": 1.5}, "allowed: 0 - 1"),
        ({"model": "gemini-3-pro-image-preview"}, "does not support music_generation"),
    ],
)
def test_invalid_requests_are_refused_and_not_billed(client: Client, body: dict[str, Any], message: str | None) -> None:
    reply = client.submit(**{**SUNO, **body})

    assert reply.status_code == (400 if message else 200)
    assert (message or "") in str(reply.json().get("error", {}).get("message", ""))
    assert client.sandbox.accepted == (0 if message else 1)


def test_an_empty_quota_has_a_code_of_its_own(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(balance=Decimal("0.07"))
    reply = client.submit(**SUNO)

    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "quota_not_enough")
    assert client.submit(**FLOW).status_code == 200


def test_messages_are_chinese_unless_english_is_requested(client: Client, sandbox: Sandbox) -> None:
    task_id = client.task_id(**{**SUNO, "prompt": "[sandbox: fail broken string]"})
    sandbox.complete_all()
    english = client.get(f"/v1/music/tasks/{task_id}?language=en").json()["data"]
    default = client.get(f"/v1/music/tasks/{task_id}").json()["data"]

    assert english["error"]["message"] == "broken string"
    assert default["error"]["message"] == "生成失败: broken string"
    assert sandbox.billed == 0


def test_descriptions_list_the_fields(client: Client) -> None:
    for model, fields in FIELDS.items():
        reply = client.get(f"/v1/model-schema?model={model}&operation=music_generation").json()["data"]
        assert reply["endpoint"] == "/v1/music/generations"
        assert set(fields) < set(reply["input_schema"]["properties"])


def test_the_page_plays_tracks(client: Client, sandbox: Sandbox) -> None:
    tracks = tracks_of(client, **SUNO)
    page = fetch(sandbox.base_url + "/").text

    assert all(track["audio_url"] in page for track in tracks)
    assert page.count("<audio") == 2


def test_any_model_includes_music() -> None:
    with Sandbox(SandboxSettings(any_model=True)) as sandbox:
        assert len(tracks_of(Client(sandbox), **{**SUNO, "model": "new-music-model"})) == 2
