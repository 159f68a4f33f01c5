"""
Parser of generations in the replies of APIMart: every documented shape becomes a :class:`Generation`.

The shapes are those of the contract: ``data`` as an object or a list, results as lists, objects or plain URLs, with and
without an envelope. What isn't there is ``None`` or empty, and nothing here raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.error_mapping import mentions_moderation
from airflow_provider_apimart.api.generation import Failure, Generation, GenerationStatus, Output, OutputKind
from airflow_provider_apimart.api.json_values import JsonObject, items, mapping, moment, money, number, text


def read_generation(
    body: object, generation_id: str | None = None, modality: Modality | None = None, model: str | None = None
) -> Generation | None:
    """
    Return the generation that the body of a status reply tells of, or ``None`` if it tells of none.

    :param body: The parsed body, with or without the ``code``/``data`` envelope.
    :param generation_id: The id that was asked for; the reply need not repeat it.
    :param modality: What was asked for, where it is known; the reply doesn't tell.
    :param model: The model that was asked for, where it is known; the reply need not tell.
    """
    record = task_record(body)
    word = text(record.get("status")) if isinstance(record.get("status"), str) else None
    if record.get("object") == "generation.result":
        word = word or GenerationStatus.COMPLETED.value
    if word is None:
        return None
    return _generation(record, word.lower(), generation_id, modality, model)


def task_record(body: object) -> JsonObject:
    """Return the object that describes the task: ``data``, its first item, or the body itself."""
    data = mapping(body).get("data")
    if isinstance(data, list):
        data = data[0] if data else None
    return mapping(data) or mapping(body)


def _generation(
    record: JsonObject, word: str, generation_id: str | None, modality: Modality | None, model: str | None
) -> Generation:
    status = GenerationStatus.of(word)
    seen = Generation(
        generation_id=generation_id or text(record.get("id")) or text(record.get("task_id")),
        status=status,
        status_word=word,
        modality=modality,
        model=text(record.get("model")) or model,
        progress=number(record.get("progress")),
        estimated_seconds=number(record.get("estimated_time")),
        created=moment(record.get("created")),
    )
    # Most looks end here, and thousands of waits look.
    return _ended(seen, record) if status.is_final else seen


def _ended(seen: Generation, record: JsonObject) -> Generation:
    completed = moment(record.get("completed"))
    finished = seen.status is GenerationStatus.COMPLETED
    outputs = _outputs(record, completed or seen.created or datetime.now(UTC), seen.modality) if finished else ()
    return replace(
        seen,
        outputs=outputs,
        cost=money(record.get("cost")),
        credits_cost=money(record.get("credits_cost")),
        usage=mapping(record.get("usage")) or None,
        completed=completed,
        result=_beside_media(record, outputs) if finished else {},
        failure=None if finished else _failure(record),
    )


def _failure(record: JsonObject) -> Failure:
    error = record.get("error")
    details = mapping(error) or {"message": error}
    message = text(details.get("message")) or text(record.get("fail_reason")) or "no reason given"
    code, kind = text(details.get("code")), text(details.get("type"))
    return Failure(message, code or kind, mentions_moderation(message, code, kind))


_MEDIA_LISTS: dict[str, OutputKind | None] = {
    "data": None,
    "images": OutputKind.IMAGE,
    "videos": OutputKind.VIDEO,
    "audios": OutputKind.AUDIO,
}
_MUSIC = "music"
_TRACK_URLS = frozenset({"audio_url", "audio_urls", "wav_url", "image_url", "image_large_url", "url", "urls"})
_MEDIA_URLS: dict[str, OutputKind | None] = {
    "video_url": OutputKind.VIDEO,
    "video_urls": OutputKind.VIDEO,
    "image_url": OutputKind.IMAGE,
    "image_urls": OutputKind.IMAGE,
    "audio_url": OutputKind.AUDIO,
    "audio_urls": OutputKind.AUDIO,
    "url": None,
    "urls": None,
}
_KIND_OF_MODALITY = {
    Modality.IMAGE: OutputKind.IMAGE,
    Modality.VIDEO: OutputKind.VIDEO,
    Modality.MUSIC: OutputKind.AUDIO,
}
_KIND_BY_SUFFIX = {
    **dict.fromkeys((".mp4", ".webm", ".mov", ".m4v"), OutputKind.VIDEO),
    **dict.fromkeys((".mp3", ".wav", ".ogg", ".flac", ".m4a"), OutputKind.AUDIO),
}


def _result(record: JsonObject) -> JsonObject:
    result = record.get("result")
    if isinstance(result, Mapping):
        return result
    # A list of media, or one URL, where an object is documented.
    return {"url": result} if result else record


def _outputs(record: JsonObject, lives_from: datetime, modality: Modality | None) -> tuple[Output, ...]:
    expires_at = lives_from + contract.RESULT_LIFETIME
    found: dict[str, Output] = {}
    for source in (_result(record), record):
        for output in _track_outputs(source, expires_at):
            found.setdefault(output.url, output)
        for item, kind in _media(source):
            for output in _item_outputs(item, kind, expires_at, modality):
                found.setdefault(output.url, output)
        if found:
            break
    # What was asked for comes first, so that url and urls[:n] are it.
    return tuple(sorted(found.values(), key=lambda output: output.kind.is_companion))


def _track_outputs(source: JsonObject, otherwise: datetime) -> Iterator[Output]:
    """Return the files of ``music``: each track, the same as WAV, and its cover."""
    for item in items(source.get(_MUSIC)):
        track = item if isinstance(item, Mapping) else {"url": item}
        expires_at = moment(track.get("expires_at")) or otherwise
        wav, covers = _urls(track, "wav_url"), _urls(track, "image_large_url") or _urls(track, "image_url")
        audio = _urls(track, "audio_url", "audio_urls", "url", "urls") or wav
        for kind, urls in ((OutputKind.AUDIO, audio), (OutputKind.AUDIO_WAV, wav), (OutputKind.COVER, covers)):
            yield from (Output(url, kind, expires_at) for url in urls)


def _urls(details: JsonObject, *keys: str) -> list[str]:
    return [url for key in keys for url in map(_public_url, items(details.get(key))) if url]


def _media(source: JsonObject) -> Iterator[tuple[object, OutputKind | None]]:
    for key, kind in (_MEDIA_LISTS | _MEDIA_URLS).items():
        for item in items(source.get(key)):
            yield item, kind


def _item_outputs(
    item: object, kind: OutputKind | None, otherwise: datetime, modality: Modality | None
) -> Iterator[Output]:
    details = item if isinstance(item, Mapping) else {"url": item}
    expires_at = moment(details.get("expires_at")) or otherwise
    for key, named_kind in _MEDIA_URLS.items():
        for url in filter(None, map(_public_url, items(details.get(key)))):
            yield Output(url, kind or named_kind or _kind_of(url, modality), expires_at)
    if last_frame := _public_url(details.get("last_frame_url")):
        yield Output(last_frame, OutputKind.LAST_FRAME, expires_at)


def _public_url(value: object) -> str | None:
    url = text(value) if isinstance(value, str) else None
    return url if url and url.lower().startswith(("https://", "http://")) else None


def _kind_of(url: str, modality: Modality | None) -> OutputKind:
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        suffix = ""
    otherwise = OutputKind.IMAGE if suffix or modality is None else _KIND_OF_MODALITY[modality]
    return _KIND_BY_SUFFIX.get(suffix, otherwise)


def _beside_media(record: JsonObject, outputs: tuple[Output, ...]) -> JsonObject:
    """Return what a completed result holds beside its media; all of it where no media could be read."""
    result = record.get("result")
    source = result if isinstance(result, Mapping) else record
    read = {*_MEDIA_LISTS, *_MEDIA_URLS} if outputs else set()
    beside = {key: value for key, value in source.items() if key not in _TASK_FIELDS and key not in read}
    if outputs and _MUSIC in beside:
        beside[_MUSIC] = [_track_facts(track) for track in items(beside[_MUSIC])]
    return beside


def _track_facts(track: object) -> JsonObject:
    """Return what a track has beside its files: id, title, lyrics and length."""
    return {key: value for key, value in mapping(track).items() if key not in _TRACK_URLS}


# What a bare record without "result" says of the task itself.
_TASK_FIELDS = frozenset(
    {
        "id", "task_id", "object", "status", "progress", "created", "completed", "estimated_time", "actual_time",
        "cost", "credits_cost", "usage", "model", "result", "error", "fail_reason", "code", "data",
    }
)  # fmt: skip
