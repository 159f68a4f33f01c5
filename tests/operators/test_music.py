"""Music: operator, sensor, batch and saving against the sandbox, without a running Airflow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import OutputKind
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartMusicGenerationOperator
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sensors.generation import ApimartGenerationSensor
from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
from tests.batch.bare import task_context
from tests.batch.support import run_trigger

MUSIC = {"model": "suno", "prompt": "a waltz for two cellos"}
KINDS = ["audio", "audio", "audio_wav", "cover", "audio_wav", "cover"]


@pytest.fixture(autouse=True)
def connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", sandbox.connection_json())
    monkeypatch.setattr(ApimartHook, "status_policy", RetryPolicy(max_requests=3, first=0.01, longest=0.01))
    sandbox.configure(seconds=0.1)


def context() -> Any:
    return task_context()


def operator(**arguments: Any) -> ApimartMusicGenerationOperator:
    return ApimartMusicGenerationOperator(task_id="compose", poll_interval=0.05, **{**MUSIC, **arguments})


def is_two_tracks(generation: dict[str, Any], sandbox: Sandbox) -> bool:
    (made,) = sandbox.generations
    kinds = [output["kind"] for output in generation["outputs"]]
    return (
        (generation["status"], generation["modality"], kinds) == ("completed", "music", KINDS)
        and generation["generation_id"] == made.generation_id
        and generation["urls"][:2] == list(made.urls)
        and generation["cost"] == 0.08
    )


def test_a_request_has_the_names_of_the_contract() -> None:
    music = operator(title="Waltz", style="chamber", instrumental=True, duration="30", audio_format="wav", seed="7")

    assert music.payload() == {
        **MUSIC,
        "title": "Waltz",
        "style": "chamber",
        "instrumental": True,
        "duration": 30,
        "audio_format": "wav",
        "seed": 7,
    }
    assert set(music.payload_fields) <= set(music.template_fields)


def test_waiting_on_the_worker(sandbox: Sandbox) -> None:
    generation = operator(title="Waltz").execute(context())

    assert is_two_tracks(generation, sandbox)
    assert [track["title"] for track in generation["result"]["music"]] == ["Waltz", "Waltz"]
    assert sandbox.billed == 1
    assert {request.path.partition("/task")[0] for request in sandbox.requests if request.route == "status"} == {
        "/v1/music"
    }


def test_waiting_in_the_triggerer(sandbox: Sandbox) -> None:
    music = operator(deferrable=True)
    with pytest.raises(TaskDeferred) as deferral:
        music.execute(context())

    assert is_two_tracks(music.execute_complete(context(), run_trigger(deferral.value.trigger)), sandbox)
    assert sandbox.billed == 1


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("deferrable", [False, True])
def test_the_sensor_waits_for_music(sandbox: Sandbox, by_id: bool, deferrable: bool) -> None:
    submitted = operator(wait_for_completion=False).execute(context())
    sensor = ApimartGenerationSensor(
        task_id="wait",
        generation=submitted["generation_id"] if by_id else submitted,
        poke_interval=0.05,
        deferrable=deferrable,
    )
    try:
        generation = sensor.execute(context())
    except TaskDeferred as deferral:
        generation = sensor.execute_complete(context(), run_trigger(deferral.trigger))

    assert is_two_tracks({**generation, "modality": "music"}, sandbox)
    assert sandbox.billed == 1


def test_the_status_unknown_keeps_the_id_and_is_asked_again(sandbox: Sandbox) -> None:
    sandbox.configure(status_words={"pending": "unknown", "processing": "unknown"}, seconds=0.3)
    submitted = operator(wait_for_completion=False).execute(context())
    looked = ApimartHook().get_generation(submitted["generation_id"], "music")

    assert (looked.status_word, looked.status.is_final) == ("unknown", False)
    assert ApimartHook().wait_for_generation(submitted["generation_id"], modality="music", poll_interval=0.05).outputs
    assert sandbox.billed == 1


def test_a_lost_answer_is_repeated_with_the_same_key(sandbox: Sandbox) -> None:
    sandbox.inject(Fault("lost_answer", on="submit"))

    assert is_two_tracks(operator().execute(context()), sandbox)
    assert sandbox.billed == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"duration": 5}, errors.ApimartInvalidRequestError),
        ({"prompt": "[sandbox: fail broken string]"}, errors.ApimartGenerationFailedError),
        ({"prompt": "[sandbox: moderation]"}, errors.ApimartModerationError),
    ],
)
def test_a_refused_or_failed_generation_costs_nothing(
    sandbox: Sandbox, arguments: dict[str, Any], error: type[errors.ApimartError]
) -> None:
    with pytest.raises(error):
        operator(**arguments).execute(context())
    assert sandbox.billed == 0


def test_an_empty_quota_is_a_balance_error(sandbox: Sandbox) -> None:
    sandbox.configure(balance=0)
    with pytest.raises(errors.ApimartBalanceError, match="quota"):
        operator().execute(context())


def test_messages_are_in_english(sandbox: Sandbox) -> None:
    with pytest.raises(errors.ApimartGenerationFailedError) as failed:
        operator(prompt="[sandbox: fail broken string]").execute(context())
    assert "broken string" in str(failed.value).lower()
    assert str(failed.value).isascii()


@pytest.mark.parametrize(
    ("arguments", "endings"),
    [
        ({}, [".mp3", ".mp3", ".png", ".png", ".wav", ".wav"]),
        ({"audio_format": "m4a"}, [".m4a", ".m4a", ".png", ".png", ".wav", ".wav"]),
        ({"audio_format": "wav"}, [".png", ".png", ".wav", ".wav"]),
    ],
)
def test_every_file_is_saved(tmp_path: Path, arguments: dict[str, Any], endings: list[str]) -> None:
    generation = operator(**arguments).execute(context())
    saved = ApimartToObjectStorageOperator(
        task_id="save", generation=generation, destination=tmp_path.as_uri()
    ).execute(context())

    files = [Path(uri.removeprefix("file://")) for uri in saved]
    assert sorted(file.suffix for file in files) == endings
    for file in files:
        if file.suffix != ".png":
            with av.open(io.BytesIO(file.read_bytes())) as audio:
                assert len(audio.streams.audio) == 1


def test_a_batch_mixes_modalities(sandbox: Sandbox, tmp_path: Path) -> None:
    requests: list[dict[str, Any]] = [
        {"id": "picture", "modality": "image", "model": "gemini-2.5-flash-image-preview", "prompt": "a cello"},
        {"id": "waltz", "prompt": "a waltz"},
        {"id": "rain", "model": "flowmusic", "sound_prompt": "rain on a tin roof", "parameters": {"length": 1}},
    ]
    batch = ApimartBatchGenerationOperator(
        task_id="batch",
        requests=requests,
        modality="music",
        model="suno",
        destination=tmp_path.as_uri(),
        poll_interval=0.05,
    )
    batch.execute(context())

    assert sandbox.billed == 3
    assert sorted(view.modality for view in sandbox.generations) == ["image", "music", "music"]
    media = sorted(file.suffix for file in tmp_path.iterdir() if file.suffix in (".mp3", ".wav", ".png"))
    assert media == [".mp3"] * 4 + [".png"] * 5 + [".wav"] * 4


def test_companions_are_no_outputs_that_were_asked_for() -> None:
    asked = {kind for kind in OutputKind if not kind.is_companion}
    assert asked == {OutputKind.IMAGE, OutputKind.VIDEO, OutputKind.AUDIO}
