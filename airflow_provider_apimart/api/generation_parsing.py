"""
Parser of generations in the replies of APIMart: every documented shape becomes a :class:`Generation`.

The shapes are those of the contract, with and without an envelope: ``data`` as an object or a list; results as lists,
objects, URLs (also relative or without a scheme), ``data:`` URLs or base64. Missing values are ``None`` or empty, and
nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.error_mapping import mentions_moderation
from airflow_provider_apimart.api.generation import Failure, Generation, Output, OutputKind
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.inline_media import inline_content, without_inline_content
from airflow_provider_apimart.api.json_values import JsonObject, items, mapping, moment, money, number, text
from airflow_provider_apimart.api.media_texts import has_media_suffix, parts_of, public_url
from airflow_provider_apimart.api.media_type import HEAD_BYTES, media_type
from airflow_provider_apimart.api.redaction import without_queries


@dataclass(frozen=True)
class _OutputContext:
    """
    What the reading of outputs depends on beside the reply.

    :param expires_at: The expiry of outputs that name none.
    :param base_url: The base URL of the reply, which relative URLs refer to.
    """

    expires_at: datetime
    modality: Modality | None
    base_url: str


def read_generation(
    body: object,
    generation_id: str | None = None,
    modality: Modality | None = None,
    model: str | None = None,
    *,
    base_url: str = "",
) -> Generation | None:
    """
    Return the generation in the body of a status reply, ``None`` if there is none.

    :param body: The parsed body, with or without the ``code``/``data`` envelope.
    :param generation_id: The id of the request, since the reply need not repeat it.
    :param modality: The modality of the request, if known; the reply doesn't name it.
    :param model: The model of the request, if known; the reply need not name it.
    :param base_url: The base URL of the request, which relative URLs refer to.
    """
    record = task_record(body)
    word = text(record.get("status")) if isinstance(record.get("status"), str) else None
    if record.get("object") == "generation.result":
        word = word or GenerationStatus.COMPLETED.value
    if word is None:
        return None
    generation = _generation(record, word.lower(), generation_id, modality, model)
    # Most looks end here, and thousands of waits look.
    return _ended(generation, record, base_url) if generation.status.is_final else generation


def task_record(body: object) -> JsonObject:
    """Return the object that describes the task: ``data``, its first item, or the body itself."""
    data = mapping(body).get("data")
    if isinstance(data, list):
        data = data[0] if data else None
    return mapping(data) or mapping(body)


def _generation(
    record: JsonObject, word: str, generation_id: str | None, modality: Modality | None, model: str | None
) -> Generation:
    return Generation(
        generation_id=generation_id or text(record.get("id")) or text(record.get("task_id")),
        status=GenerationStatus.of(word),
        status_word=word,
        modality=modality,
        model=text(record.get("model")) or model,
        progress=number(record.get("progress")),
        estimated_seconds=number(record.get("estimated_time")),
        created=moment(record.get("created")),
    )


def _ended(seen: Generation, record: JsonObject, base_url: str) -> Generation:
    completed = moment(record.get("completed"))
    finished = seen.status is GenerationStatus.COMPLETED
    expires_at = (completed or seen.created or datetime.now(UTC)) + contract.RESULT_LIFETIME
    outputs = _outputs(record, _OutputContext(expires_at, seen.modality, base_url)) if finished else ()
    return replace(
        seen,
        outputs=outputs,
        cost=money(record.get("cost")),
        credits_cost=money(record.get("credits_cost")),
        usage=without_inline_content(mapping(record.get("usage"))) or None,
        completed=completed,
        result=_beside_media(record, outputs) if finished else {},
        failure=None if finished else _failure(record),
    )


def _failure(record: JsonObject) -> Failure:
    error = record.get("error")
    details = mapping(error) or {"message": error}
    message = text(details.get("message")) or text(record.get("fail_reason")) or "no reason given"
    code, kind = text(details.get("code")), text(details.get("type"))
    return Failure(without_queries(message), code or kind, mentions_moderation(message, code, kind))


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
#: Fields of a result that hold media.
MEDIA_FIELDS = frozenset({*_MEDIA_LISTS, *_MEDIA_URLS, _MUSIC})


def is_empty_result(outputs: Collection[object], result: Mapping[str, Any] | None) -> bool:
    """Whether a completed generation has neither an output nor another value: APIMart may show its outputs later."""
    return not outputs and (result or {}).keys() <= MEDIA_FIELDS


# Their values are files as base64.
_INLINE_KEYS = ("b64_json", "base64", "b64", "image_base64", "image_b64", "video_base64", "audio_base64")
_KIND_BY_SUFFIX = {
    **dict.fromkeys((".mp4", ".webm", ".mov", ".m4v"), OutputKind.VIDEO),
    **dict.fromkeys((".mp3", ".wav", ".ogg", ".flac", ".m4a"), OutputKind.AUDIO),
}
_KIND_BY_MEDIA = {"image": OutputKind.IMAGE, "video": OutputKind.VIDEO, "audio": OutputKind.AUDIO}
_DEEPEST = 6
# Where no field of the contract holds media: names that others use for them, and names of addresses that are none.
_OUTPUT_NAME = re.compile(
    r"^(out|outputs?|results?|files?|images?|videos?|audios?|musics?|link|uri|src|href)$"
    r"|(image|video|audio|file|download|output|result|media)_?(url|uri|link)s?$",
    re.IGNORECASE,
)
_NO_OUTPUT_NAME = re.compile(
    r"thumb|preview|prompt|callback|webhook|poll|input|reference|source|avatar|logo", re.IGNORECASE
)


def _result(record: JsonObject) -> JsonObject:
    result = record.get("result")
    if isinstance(result, Mapping):
        return result
    # A list of media, or one URL, where an object is documented.
    return {"url": result} if result else record


def _outputs(record: JsonObject, context: _OutputContext) -> tuple[Output, ...]:
    found: dict[str, Output] = {}
    for source in (_result(record), record):
        for output in (*_track_outputs(source, context), *_media(source, context)):
            found.setdefault(output.url or output.digest, output)
        if found:
            break
    if not found and isinstance(result := record.get("result"), Mapping):
        found = {output.url or output.digest: output for output in _unnamed_outputs(result, context)}
    # What was asked for comes first, so that url and urls[:n] are it.
    return tuple(sorted(found.values(), key=lambda output: output.kind.is_companion))


def _track_outputs(source: JsonObject, context: _OutputContext) -> Iterator[Output]:
    """Go through the files of ``music``: each track, the same as WAV, and its cover."""
    for item in items(source.get(_MUSIC)):
        track = item if isinstance(item, Mapping) else {"url": item}
        within = replace(context, expires_at=moment(track.get("expires_at")) or context.expires_at)
        wav = _outputs_under(track, OutputKind.AUDIO_WAV, within, "wav_url")
        audio = _outputs_under(track, OutputKind.AUDIO, within, "audio_url", "audio_urls", "url", "urls")
        covers = (_outputs_under(track, OutputKind.COVER, within, key) for key in ("image_large_url", "image_url"))
        yield from audio or (replace(each, kind=OutputKind.AUDIO) for each in wav)
        yield from wav
        yield from next(filter(None, covers), [])


def _outputs_under(details: JsonObject, kind: OutputKind, context: _OutputContext, *keys: str) -> list[Output]:
    return [output for key in keys for output in _item_outputs(details.get(key), kind, context, 0)]


def _media(source: JsonObject, context: _OutputContext) -> Iterator[Output]:
    for key, kind in (_MEDIA_LISTS | _MEDIA_URLS | dict.fromkeys(_INLINE_KEYS)).items():
        yield from _item_outputs(source.get(key), kind, context, 0)


def _item_outputs(item: object, kind: OutputKind | None, context: _OutputContext, depth: int) -> Iterator[Output]:
    """Go through the outputs of a text, an object, or a list of these; nested lists are read on all levels."""
    if isinstance(item, str):
        yield from _text_outputs(item, kind, context)
    elif depth < _DEEPEST and isinstance(item, list | tuple):
        for each in item:
            yield from _item_outputs(each, kind, context, depth + 1)
    elif depth < _DEEPEST and isinstance(item, Mapping):
        yield from _object_outputs(item, kind, context, depth + 1)


def _object_outputs(item: JsonObject, kind: OutputKind | None, context: _OutputContext, depth: int) -> Iterator[Output]:
    context = replace(context, expires_at=moment(item.get("expires_at")) or context.expires_at)
    for key, named_kind in (_MEDIA_URLS | dict.fromkeys(_INLINE_KEYS)).items():
        yield from _item_outputs(item.get(key), kind or named_kind, context, depth)
    yield from _item_outputs(item.get("last_frame_url"), OutputKind.LAST_FRAME, context, depth)


def _text_outputs(written: str, kind: OutputKind | None, context: _OutputContext) -> Iterator[Output]:
    for each in parts_of(written):
        if url := public_url(each, context.base_url):
            yield Output(url, kind or _kind_of(url, context.modality), context.expires_at)
        elif content := inline_content(each):
            shown = (media_type(content[:HEAD_BYTES]) or "").partition("/")[0]
            yield Output("", kind or _KIND_BY_MEDIA.get(shown, OutputKind.IMAGE), context.expires_at, content)


def _unnamed_outputs(
    value: object, context: _OutputContext, name: str = "", kind: OutputKind | None = None, depth: int = 0
) -> Iterator[Output]:
    """
    Go through the media of a result in fields that no contract names.

    An inline file is known by its first bytes, and a URL by its ending or by the name of its field.
    """
    if isinstance(value, str):
        for output in _text_outputs(value, kind, context):
            if output.is_inline or _OUTPUT_NAME.search(name) or has_media_suffix(value):
                yield output
    elif depth < _DEEPEST and isinstance(value, Mapping):
        for key, each in value.items():
            if not _NO_OUTPUT_NAME.search(key):
                of_key = next((known for word, known in _KIND_BY_MEDIA.items() if word in key.lower()), kind)
                yield from _unnamed_outputs(each, context, name if key.isdecimal() else key, of_key, depth + 1)
    elif depth < _DEEPEST and isinstance(value, list | tuple):
        for each in value:
            yield from _unnamed_outputs(each, context, name, kind, depth + 1)


def _kind_of(url: str, modality: Modality | None) -> OutputKind:
    try:
        suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    except ValueError:
        suffix = ""
    otherwise = OutputKind.IMAGE if suffix or modality is None else _KIND_OF_MODALITY[modality]
    return _KIND_BY_SUFFIX.get(suffix, otherwise)


def _beside_media(record: JsonObject, outputs: tuple[Output, ...]) -> JsonObject:
    """Return the parts of a completed result that aren't media; all of it where no media could be read."""
    result = record.get("result")
    if result and not outputs and not isinstance(result, Mapping):
        return {"text" if isinstance(result, str) else "items": without_inline_content(result)}
    source = result if isinstance(result, Mapping) else record
    read = {*_MEDIA_LISTS, *_MEDIA_URLS, *_INLINE_KEYS} if outputs else set()
    kept = {key: value for key, value in source.items() if key not in _TASK_FIELDS and key not in read}
    if not outputs:
        # Empty media fields are no result.
        kept = {key: value for key, value in kept.items() if value or key not in MEDIA_FIELDS}
    if outputs and _MUSIC in kept:
        kept[_MUSIC] = [_track_facts(track) for track in items(kept[_MUSIC])]
    return mapping(without_inline_content(kept))


def _track_facts(track: object) -> JsonObject:
    """Return what a track has beside its files: id, title, lyrics and length."""
    return {key: value for key, value in mapping(track).items() if key not in _TRACK_URLS}


# Fields of a bare record without "result" that describe the task itself.
_TASK_FIELDS = frozenset(
    {
        "id", "task_id", "object", "status", "progress", "created", "completed", "estimated_time", "actual_time",
        "cost", "credits_cost", "usage", "model", "result", "error", "fail_reason", "code", "data",
    }
)  # fmt: skip
