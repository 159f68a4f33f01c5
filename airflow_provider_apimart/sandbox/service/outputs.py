"""Outputs of a generation: file names, sizes in pixels, and the recipe of each file."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from airflow_provider_apimart.sandbox.service.generations import Generation
from airflow_provider_apimart.sandbox.service.models import MODELS
from airflow_provider_apimart.sandbox.service.music import audio_format, text_of, track_seconds
from airflow_provider_apimart.sandbox.service.validation import reference_urls

Kind = Literal["image", "video", "audio", "frame", "mp3", "m4a", "wav", "cover", "cover-large"]

MAX_SIDE = 4096
_SUFFIXES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "image": ("png", "image/png"),
        "video": ("mp4", "video/mp4"),
        "audio": ("wav", "audio/wav"),
        "frame": ("png", "image/png"),
        "mp3": ("mp3", "audio/mpeg"),
        "m4a": ("m4a", "audio/mp4"),
        "wav": ("wav", "audio/wav"),
        "cover": ("png", "image/png"),
        "cover-large": ("png", "image/png"),
    }
)
_NAME = re.compile(r"\d+-[0-9a-f]{8}-([a-z0-9-]+)_(task_[0-9A-Z]+)_(\d+)\.\w+")
_PICTURE_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096}
_COVER_SIDES = {"cover": 512, "cover-large": 1024}
_VIDEO_SIDES = {"480p": 240, "720p": 360, "1080p": 540}


@dataclass(frozen=True)
class Recipe:
    """
    The input of rendering; the same recipe gives the same file.

    :param label: the requested size, shown in the image
    :param seconds: length of a video or audio; 0 for an image
    :param references: URLs of the reference images
    """

    kind: Kind
    prompt: str
    model: str
    label: str
    width: int
    height: int
    seconds: float
    seed: str
    references: tuple[str, ...]

    @property
    def is_audio(self) -> bool:
        """Whether the file is audio."""
        return self.content_type.startswith("audio/")

    @property
    def content_type(self) -> str:
        """The MIME type of the file."""
        return _SUFFIXES[self.kind][1]


def output_name(generation_id: str, kind: Kind, index: int) -> str:
    """Return the name of an output in the service's format."""
    digest = hashlib.blake2b(f"{generation_id}/{kind}/{index}".encode(), digest_size=12).hexdigest()
    number = int(digest[8:], 16) % 10**16
    return f"{number:016d}-{digest[:8]}-{kind}_{generation_id}_{index}.{_SUFFIXES[kind][0]}"


def parse_name(name: str) -> tuple[str, Kind, int] | None:
    """Parse the name of an output into generation id, kind and index; ``None`` for another name."""
    found = _NAME.fullmatch(name)
    if not found or found[1] not in _SUFFIXES:
        return None
    kind, generation_id, index = cast(Kind, found[1]), found[2], int(found[3])
    return (generation_id, kind, index) if name == output_name(generation_id, kind, index) else None


def output_kind(generation: Generation, status_shape: str) -> Kind:
    """Return the kind of a generation's outputs; dialect ``T4-audios`` always has audio."""
    if generation.modality == "music":
        return audio_format(generation.payload)
    return "audio" if status_shape == "T4-audios" else generation.modality


def output_names(generation: Generation, status_shape: str) -> tuple[str, ...]:
    """Return the names of all outputs of a generation; dialects without media have none."""
    if status_shape in ("T6", "T7") and generation.modality != "music":
        return ()
    kind = output_kind(generation, status_shape)
    return tuple(output_name(generation.generation_id, kind, index) for index in range(generation.outputs))


def recipe(generation: Generation, kind: Kind, index: int) -> Recipe:
    """Return the recipe of an output."""
    payload = generation.payload
    width, height = (_COVER_SIDES.get(kind, 512),) * 2 if generation.modality == "music" else _pixels(generation)
    return Recipe(
        kind=kind,
        prompt=text_of(payload),
        model=generation.model,
        label=_label(payload, width, height),
        width=width,
        height=height,
        seconds=_seconds(generation),
        seed=f"{payload.get('seed', text_of(payload))}/{index}",
        references=tuple(str(url) for url in reference_urls(payload)),
    )


def _seconds(generation: Generation) -> float:
    if generation.modality == "image":
        return 0.0
    if generation.modality == "music":
        return track_seconds(generation.payload)
    model = MODELS.get(generation.model)
    return float(model.seconds(generation.payload) if model else generation.payload.get("duration") or 5)


def _asked_size(payload: Mapping[str, Any]) -> str:
    return str(payload.get("size") or payload.get("aspect_ratio") or "")


def _label(payload: Mapping[str, Any], width: int, height: int) -> str:
    asked = (_asked_size(payload), payload.get("resolution"), f"{width} x {height}")
    return " · ".join(str(part) for part in asked if part)


def _pixels(generation: Generation) -> tuple[int, int]:
    payload = generation.payload
    model = MODELS.get(generation.model)
    default = model.sizes[0] if model and model.sizes else "1:1" if generation.modality == "image" else "16:9"
    size = _asked_size(payload) or default
    resolution = str(payload.get("resolution") or next(iter(model.resolutions if model else ()), ""))
    if generation.modality == "video":
        return _video_pixels(size, _VIDEO_SIDES.get(resolution, 360))
    return _picture_pixels(size, _PICTURE_SIDES.get(resolution, 1024))


def _numbers(size: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,5})[x:*](\d{1,5})", size)
    return (max(1, int(found[1])), max(1, int(found[2]))) if found else None


def _picture_pixels(size: str, side: int) -> tuple[int, int]:
    """Return the pixels of a size; a ratio has the area of a square of that side. The longer side is capped."""
    width, height = _numbers(size) or (1, 1)
    if ":" in size or not _numbers(size):
        ratio = math.sqrt(width / height)
        fitting = min(side, MAX_SIDE / max(ratio, 1 / ratio))
        width, height = round(fitting * ratio / 8) * 8, round(fitting / ratio / 8) * 8
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(8, round(width * scale)), max(8, round(height * scale))


def _video_pixels(size: str, side: int) -> tuple[int, int]:
    """Return half the requested size, for quick rendering; codecs need even sides."""
    width, height = _numbers(size) or (16, 9)
    scale = side / min(width, height)
    return min(MAX_SIDE, round(width * scale / 2) * 2), min(MAX_SIDE, round(height * scale / 2) * 2)
