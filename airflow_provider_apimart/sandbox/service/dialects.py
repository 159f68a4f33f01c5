"""
Dialects: the shapes of the service's replies to a submit and to a status query.

The names S1 to S8 and T1 to T12 are those of the contract's tables. A dialect is written ``SUBMIT+STATUS``, with
``@generations`` for the older polling route or ``@both`` for either: ``"S2+T8"``, ``"S6+T10@generations"``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.generations import Stage
from airflow_provider_apimart.sandbox.service.models import Modality

Json = dict[str, Any]
Words = Mapping[str, str]

ESTIMATES: Mapping[Modality, int] = MappingProxyType({"image": 60, "video": 180, "music": 120})

_CURRENT_WORDS = {name: name for name in ("submitted", "pending", "processing", "completed", "failed")}
_LAYER_WORDS = {**_CURRENT_WORDS, "completed": "success"}
_MIDJOURNEY_WORDS = {
    "submitted": "SUBMITTED",
    "pending": "NOT_START",
    "processing": "IN_PROGRESS",
    "completed": "SUCCESS",
    "failed": "FAILURE",
}


@dataclass(frozen=True)
class Track:
    """
    A track of a music generation.

    :param seconds: its length
    """

    track_id: str
    title: str
    lyrics: str
    seconds: float
    audio_url: str
    wav_url: str
    image_url: str
    image_large_url: str


@dataclass(frozen=True)
class Task:
    """
    The state of a generation, as the input of a reply.

    :param urls: public URLs of its outputs, empty until it has completed
    :param tracks: the tracks of a music generation, empty until it has completed
    :param last_frame_url: public URL of a video's last frame, if the request asked for one
    :param words: replacements of the status words, by stage
    """

    generation_id: str
    request_id: str
    modality: Modality
    model: str
    prompt: str
    stage: Stage
    progress: int
    created: int
    completed: int
    cost: Decimal
    failure: str | None
    urls: tuple[str, ...]
    tracks: tuple[Track, ...]
    last_frame_url: str | None
    expires_at: int
    words: Words
    error_form: str

    @property
    def media(self) -> str:
        """The key under which a result lists its outputs."""
        return "music" if self.modality == "music" else f"{self.modality}s"

    def word(self, words: Words) -> str:
        """Return the status word of its stage."""
        return self.words.get(self.stage, words[self.stage])


def _first_word(task: Task) -> str:
    return task.words.get("submitted", "submitted")


def _submit_current(task: Task) -> Json:
    return {"code": 200, "data": [{"status": _first_word(task), "task_id": task.generation_id}]}


def _submit_older_pages(task: Task) -> Json:
    info = {"can_cancel": False, "estimated_time": ESTIMATES[task.modality]}
    data = {
        "id": task.generation_id,
        "status": task.words.get("pending", "pending"),
        "object": f"{task.modality}.generation.task",
        "created": task.created,
        "task_info": info,
    }
    return {"code": 200, "data": data}


def _submit_versioned(task: Task) -> Json:
    data = {
        "id": task.generation_id,
        "object": "generation.task",
        "status": task.words.get("pending", "queued"),
        "created": task.created,
        "poll_url": f"/v1/tasks/{task.generation_id}",
        "request_id": task.request_id,
    }
    return {"code": 200, "data": data}


def _submit_result(task: Task) -> Json:
    data: Json = {"object": "generation.result", **_status_current(task)["data"]}
    del data["id"]
    return {"code": 200, "data": data}


def _submit_data_task_id(task: Task) -> Json:
    return {"code": 200, "data": {"status": _first_word(task), "task_id": task.generation_id}}


def _submit_data_id(task: Task) -> Json:
    return {"code": 200, "data": {"id": task.generation_id}}


def _submit_item_id(task: Task) -> Json:
    return {"code": 200, "data": [{"id": task.generation_id, "status": _first_word(task)}]}


SUBMIT_SHAPES: Mapping[str, tuple[int, Callable[[Task], Json]]] = MappingProxyType(
    {
        "S1": (200, _submit_current),
        "S2": (200, _submit_older_pages),
        "S4": (200, _submit_versioned),
        "S4-202": (202, _submit_versioned),
        "S5": (200, _submit_result),
        "S6": (200, lambda task: {"id": task.generation_id}),
        "S8-top-id": (200, lambda task: {"id": task.generation_id, "status": _first_word(task)}),
        "S8-top-task_id": (200, lambda task: {"task_id": task.generation_id, "status": _first_word(task)}),
        "S8-data-id": (200, _submit_data_id),
        "S8-data-task_id": (200, _submit_data_task_id),
        "S8-item-id": (200, _submit_item_id),
    }
)


ERROR_FORMS: Mapping[str, Callable[[str], Json]] = MappingProxyType(
    {
        "object": lambda reason: {"error": {"message": reason, "code": ""}},
        "object_int": lambda reason: {"error": {"message": reason, "type": "server_error", "code": 500}},
        "object_string": lambda reason: {
            "error": {"message": reason, "type": "server_error", "code": "upstream_error"}
        },
        "string": lambda reason: {"error": reason},
        "fail_reason": lambda reason: {"fail_reason": reason},
    }
)


def _running(task: Task) -> Json:
    return {"progress": task.progress, "created": task.created, "estimated_time": ESTIMATES[task.modality]}


def _failed(task: Task) -> Json:
    ending = {"progress": 100, "created": task.created, "completed": task.completed}
    return {**ending, **ERROR_FORMS[task.error_form](task.failure or "")}


def _completed(task: Task, result: Json) -> Json:
    return {
        "progress": 100,
        "actual_time": task.completed - task.created,
        "estimated_time": ESTIMATES[task.modality],
        "created": task.created,
        "completed": task.completed,
        "cost": float(task.cost),
        "credits_cost": float(task.cost) * 10,
        "result": result,
        "usage": _usage(task),
    }


def _usage(task: Task) -> Json:
    words, drawn = len(task.prompt.split()), 196 * len(task.urls)
    return {
        "input_tokens": words,
        "input_tokens_details": {"cached_tokens": 0, "image_tokens": 0, "text_tokens": words},
        "output_tokens": drawn,
        "output_tokens_details": {"image_tokens": drawn, "text_tokens": 0},
        "total_tokens": words + drawn,
    }


def _data(task: Task, result: Callable[[Task], Json], words: Words = _CURRENT_WORDS) -> Json:
    shape = {"id": task.generation_id, "status": task.word(words)}
    if task.stage == "completed":
        media = _music(task) if task.modality == "music" else result(task)
        return {**shape, **_completed(task, media)}
    return {**shape, **(_failed(task) if task.stage == "failed" else _running(task))}


def _last_frame(task: Task) -> Json:
    return {"last_frame_url": task.last_frame_url} if task.last_frame_url else {}


def _items(task: Task, wrap: Callable[[str], object]) -> list[Json]:
    return [{"url": wrap(url), "expires_at": task.expires_at, **_last_frame(task)} for url in task.urls]


def _music(task: Task) -> Json:
    return {"music": [_track(track, flow=task.model == "flowmusic") for track in task.tracks]}


def _track(track: Track, *, flow: bool) -> Json:
    return {
        "clip_id" if flow else "audio_id": track.track_id,
        "title": track.title,
        "lyrics": track.lyrics,
        "duration_seconds" if flow else "duration": track.seconds,
        "audio_url": track.audio_url,
        "wav_url": track.wav_url,
        "image_url": track.image_url,
        "image_large_url": track.image_large_url,
    }


def _lists(task: Task) -> Json:
    return {task.media: _items(task, lambda url: [url])}


def _strings(task: Task) -> Json:
    return {task.media: _items(task, str)}


def _one_list(task: Task) -> Json:
    return {task.media: [{"url": list(task.urls), "expires_at": task.expires_at}]}


def _objects(task: Task) -> Json:
    box = {"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.6}
    return {"objects": [{"label": "subject", "score": 0.98, "box": box}]}


def _layers(task: Task) -> Json:
    return {**_lists(task), "layers": [{"name": "background", "z": 0}], "canvas": {"layers": 1}}


def _status_current(task: Task) -> Json:
    return {"code": 200, "data": _data(task, _lists)}


def _enveloped(result: Callable[[Task], Json]) -> Callable[[Task], Json]:
    return lambda task: {"code": 200, "data": _data(task, result)}


def _status_midjourney(task: Task) -> Json:
    images: Sequence[str] = task.urls if task.modality == "image" else ()
    return {
        "id": task.generation_id,
        "action": "IMAGINE",
        "status": task.word(_MIDJOURNEY_WORDS),
        "progress": f"{task.progress}%",
        "image_urls": [*images],
        "video_url": task.urls[0] if task.urls and task.modality == "video" else "",
        "fail_reason": task.failure or "",
    }


def _status_bare(task: Task) -> Json:
    url = task.urls[0] if task.urls else ""
    return {"status": task.word(_CURRENT_WORDS), "url": url, "fail_reason": task.failure or ""}


STATUS_SHAPES: Mapping[str, Callable[[Task], Json]] = MappingProxyType(
    {
        "T1": _status_current,
        "T2": _enveloped(_strings),
        "T3": _enveloped(_strings),
        "T4": _enveloped(lambda task: {task.media: [*task.urls]}),
        "T4-audios": _enveloped(lambda task: {"audios": _items(task, str)}),
        "T5": lambda task: _data(task, _layers, _LAYER_WORDS),
        "T6": _enveloped(lambda task: {"prompt": f"A picture of {task.prompt}"}),
        "T7": _enveloped(_objects),
        "T8": _status_midjourney,
        "T10": _status_bare,
        "T12-list": _enveloped(_one_list),
        "T12-items": _enveloped(_lists),
    }
)

PollRoute = Literal["tasks", "generations", "both", "music"]
_POLL_ROUTES: Mapping[str, PollRoute] = {"tasks": "tasks", "generations": "generations", "both": "both"}


@dataclass(frozen=True)
class Dialect:
    """
    The shapes of a dialect.

    :param submit: shape of the reply to a submit
    :param versioned: shape of that reply if the request carries the version header
    :param status: shape of the reply to a status query
    :param poll_route: the polling route: ``/v1/tasks/{id}``, the older
        ``/v1/images/generations/{id}``, or both
    """

    submit: str
    versioned: str
    status: str
    poll_route: PollRoute


DIALECTS: Mapping[str, str] = MappingProxyType(
    {
        "current": "S1+T1",
        "older": "S6+T10@generations",
        "older_pages": "S2+T2",
        "accepted": "S4-202+T1",
        "at_once": "S5+T1",
        "layers": "S1+T5",
        "midjourney": "S1+T8",
        "text": "S1+T6",
        "objects": "S1+T7",
        "one_list": "S1+T12-list",
    }
)

VERSION = "2026-07-27"


def dialect(name: str) -> Dialect:
    """
    Parse a dialect's name.

    Only ``current`` depends on the version header.

    :param name: a key of :data:`DIALECTS`, or shapes such as ``"S2+T8@both"``
    """
    shapes, _, route = DIALECTS.get(name, name).partition("@")
    submit, _, status = shapes.partition("+")
    poll_route = _POLL_ROUTES.get(route or "tasks")
    if submit not in SUBMIT_SHAPES or status not in STATUS_SHAPES or poll_route is None:
        known = ", ".join(DIALECTS)
        raise ValueError(f"Unknown dialect {name!r}: known are {known}, or shapes such as 'S2+T8@both'")
    return Dialect(submit, "S4" if name == "current" else submit, status, poll_route)
