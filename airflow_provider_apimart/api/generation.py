"""A generation as APIMart's replies tell of it: every documented shape becomes one kind of value."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.json_values import JsonObject, items, mapping, moment, money, number, plain, text
from airflow_provider_apimart.api.problem import speaks_of_moderation
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


class GenerationStatus(StrEnum):
    """The three things a generation can be doing. Any word that isn't listed means that it runs."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def of(cls, word: str | None) -> GenerationStatus:
        """Return what a status word of the service means."""
        return _MEANINGS.get((word or "").lower(), cls.RUNNING)

    @property
    def is_final(self) -> bool:
        """Whether the generation has ended and its status won't change any more."""
        return self is not GenerationStatus.RUNNING


_MEANINGS = {
    **dict.fromkeys(("completed", "success", "succeeded"), GenerationStatus.COMPLETED),
    **dict.fromkeys(("failed", "failure", "cancelled", "canceled", "cancel", "expired"), GenerationStatus.FAILED),
}


class OutputKind(StrEnum):
    """What an output shows."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    LAST_FRAME = "last_frame"


@dataclass(frozen=True)
class Output:
    """
    One file that a generation made.

    :param url: A public, temporary URL. It needs no API key and must never be sent one.
    :param expires_at: When the URL dies; it can't be renewed. Where the service doesn't say, 24 hours after the
        completion, or after it was first seen completed.
    """

    url: str
    kind: OutputKind
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """
    Why a generation failed, in the service's own words.

    :param is_moderation: Whether moderation refused it, so that trying again can't help.
    """

    message: str
    code: str | None = None
    is_moderation: bool = False


@dataclass(frozen=True)
class Generation:
    """
    A submitted generation and what is known of it.

    :param generation_id: APIMart's id, ``None`` where a result came at once and no task was made.
    :param status_word: The service's own word for the status, lower-cased.
    :param progress: Percent done. It may jump from 0 to 100.
    :param estimated_seconds: How long the service thinks it takes; a coarse guess.
    :param prompt_sha256: Hexadecimal digits of the prompt's SHA-256, as its submitter knows it.
    :param cost: US dollars as charged.
    :param credits_cost: The same in the service's credits, ten for a dollar.
    :param result: What a completed result holds beside its media, such as a text or found objects.
    :param failure: Why it failed, if it did.
    """

    generation_id: str | None
    status: GenerationStatus
    status_word: str
    modality: Modality | None = None
    model: str | None = None
    prompt_sha256: str | None = None
    progress: float | None = None
    estimated_seconds: float | None = None
    outputs: tuple[Output, ...] = ()
    cost: Decimal | None = None
    credits_cost: Decimal | None = None
    usage: JsonObject | None = None
    created: datetime | None = None
    completed: datetime | None = None
    result: JsonObject = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the first of the output URLs dies."""
        return min((output.expires_at for output in self.outputs if output.expires_at), default=None)

    @property
    def urls(self) -> list[str]:
        """The URLs of all outputs."""
        return [output.url for output in self.outputs]

    @property
    def url(self) -> str | None:
        """The URL of the first output."""
        return self.outputs[0].url if self.outputs else None

    def known_as(
        self, *, modality: Modality | None = None, model: str | None = None, prompt_sha256: str | None = None
    ) -> Generation:
        """Return the generation with what the submitter knows and a status reply doesn't tell."""
        return replace(
            self,
            modality=self.modality or modality,
            model=self.model or model,
            prompt_sha256=self.prompt_sha256 or prompt_sha256,
        )

    def to_xcom(self) -> dict[str, Any]:
        """Return the generation as it travels through XCom: plain JSON, ``None`` where APIMart said nothing."""
        return {
            "generation_id": self.generation_id,
            "modality": self.modality and self.modality.value,
            "model": self.model,
            "prompt_sha256": self.prompt_sha256,
            "status": self.status.value if self.status.is_final else self.status_word,
            "url": self.url,
            "urls": self.urls,
            "outputs": [
                {"url": output.url, "kind": output.kind.value, "expires_at": plain(output.expires_at)}
                for output in self.outputs
            ],
            "expires_at": plain(self.expires_at),
            "cost": plain(self.cost),
            "credits_cost": plain(self.credits_cost),
            "usage": plain(self.usage),
            "created": plain(self.created),
            "completed": plain(self.completed),
            "result": plain(self.result) or None,
        }


def generation_from_xcom(value: Mapping[str, Any]) -> Generation:
    """
    Return the generation that :meth:`Generation.to_xcom` wrote.

    :param value: The mapping from XCom; keys may be missing.
    """
    word = text(value.get("status")) or GenerationStatus.RUNNING.value
    modality = text(value.get("modality"))
    return Generation(
        generation_id=text(value.get("generation_id")),
        status=GenerationStatus.of(word),
        status_word=word.lower(),
        modality=Modality(modality) if modality in set(Modality) else None,
        model=text(value.get("model")),
        prompt_sha256=text(value.get("prompt_sha256")),
        outputs=tuple(_outputs_from_xcom(value)),
        cost=money(value.get("cost")),
        credits_cost=money(value.get("credits_cost")),
        usage=mapping(value.get("usage")) or None,
        created=moment(value.get("created")),
        completed=moment(value.get("completed")),
        result=mapping(value.get("result")),
    )


def named_generation(value: object) -> Generation:
    """
    Return the generation that a user names.

    :param value: Its id, or the mapping that a generation operator or a sensor returned, also as the text into which
        a template renders that mapping.
    :raises ApimartInvalidRequestError: If it names none.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        raise ApimartInvalidRequestError(
            "A list names no generation. What a mapped task returned is mapped on: .partial(...).expand(generation=...)"
        )
    if isinstance(value, str):
        rendered = rendered_value(value)
        value = {"generation_id": value} if rendered is None else rendered
    named = generation_from_xcom(value) if isinstance(value, Mapping) else None
    nameless = named is None or (named.generation_id is None and named.status is not GenerationStatus.COMPLETED)
    if named is None or nameless or named.generation_id in _RENDERED_NOTHING:
        raise ApimartInvalidRequestError(
            f"{str(value)[:200]!r} names no generation; give its id, or what a generation operator returned"
        )
    return named


# What a template makes of an XCom that isn't there.
_RENDERED_NOTHING = ("None", "null")


def rendered_value(written: str) -> Mapping[str, Any] | Sequence[Any] | None:
    """Return the mapping or the list that a template rendered as text, ``None`` if the text is neither."""
    if not written.lstrip().startswith(("{", "[")):
        return None
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = read(written.strip())
            return value if isinstance(value, Mapping | list) else {}
    return None


def _outputs_from_xcom(value: Mapping[str, Any]) -> Iterator[Output]:
    for item in items(value.get("outputs")):
        output = mapping(item)
        if url := text(output.get("url")):
            kind = text(output.get("kind"))
            kind = kind if kind in set(OutputKind) else OutputKind.IMAGE
            yield Output(url, OutputKind(kind), moment(output.get("expires_at")))


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
    return Failure(message, code or kind, speaks_of_moderation(message, code, kind))


_MEDIA_LISTS: dict[str, OutputKind | None] = {
    "data": None,
    "images": OutputKind.IMAGE,
    "videos": OutputKind.VIDEO,
    "audios": OutputKind.AUDIO,
}
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
        for item, kind in _media(source):
            for output in _item_outputs(item, kind, expires_at, modality):
                found.setdefault(output.url, output)
        if found:
            break
    return tuple(found.values())


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
    otherwise = OutputKind.VIDEO if modality is Modality.VIDEO and not suffix else OutputKind.IMAGE
    return _KIND_BY_SUFFIX.get(suffix, otherwise)


def _beside_media(record: JsonObject, outputs: tuple[Output, ...]) -> JsonObject:
    """Return what a completed result holds beside its media; all of it where no media could be read."""
    result = record.get("result")
    source = result if isinstance(result, Mapping) else record
    read = {*_MEDIA_LISTS, *_MEDIA_URLS} if outputs else set()
    return {key: value for key, value in source.items() if key not in _TASK_FIELDS and key not in read}


# What a bare record without "result" says of the task itself.
_TASK_FIELDS = frozenset(
    {
        "id", "task_id", "object", "status", "progress", "created", "completed", "estimated_time", "actual_time",
        "cost", "credits_cost", "usage", "model", "result", "error", "fail_reason", "code", "data",
    }
)  # fmt: skip
