"""Table of models with allowed inputs and prices; plausible, not current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.music import TRACKS

Modality = Literal["image", "video", "music"]

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
VIDEO_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4")


def _factors(**factors: str) -> Mapping[str, Decimal]:
    """Convert ``_1K="1"`` to ``{"1K": Decimal(1)}``; keyword names can't begin with a digit."""
    return MappingProxyType({name.lstrip("_"): Decimal(factor) for name, factor in factors.items()})


@dataclass(frozen=True)
class Model:
    """
    Inputs and price of a model.

    :param price: US dollars per image, per second of video, or per call of music
    :param sizes: allowed ``size`` (or ``aspect_ratio``), the first being the default; empty allows any
    :param resolutions: allowed ``resolution`` with its factor on the price, the first being the default
    :param max_n: maximum number of outputs per request
    :param durations: allowed lengths of a video in seconds, the first being the default
    :param max_references: maximum number of reference images per request
    :param prompt_required: whether a request without a prompt is refused
    :param reserve: reservation at acceptance, as a multiple of the cost
    """

    name: str
    modality: Modality
    price: Decimal
    sizes: tuple[str, ...] = RATIOS
    resolutions: Mapping[str, Decimal] = field(default_factory=lambda: _factors(_1K="1", _2K="1.5", _4K="2.5"))
    max_n: int = 1
    durations: tuple[int, ...] = ()
    max_references: int = 1
    prompt_required: bool = True
    reserve: Decimal = Decimal(1)

    @property
    def endpoint(self) -> str:
        """The path of its submits."""
        return "/v1/music/generations" if self.modality == "music" else f"/v1/{self.modality}s/generations"

    def outputs(self, payload: Mapping[str, Any]) -> int:
        """Return the number of outputs that a request asks for."""
        return TRACKS if self.modality == "music" else payload.get("n") or 1

    def cost(self, payload: Mapping[str, Any]) -> Decimal:
        """Return the cost of a completed generation in US dollars."""
        if self.modality == "music":
            return self.price
        factor = self.resolutions.get(str(payload.get("resolution")), Decimal(1))
        seconds = (payload.get("duration") or self.durations[0]) if self.durations else 1
        return self.price * (payload.get("n") or 1) * Decimal(str(seconds)) * factor


_VIDEO_RESOLUTIONS = _factors(_720p="1", _480p="0.6", _1080p="1.6")

_TABLE = (
    Model("gemini-3-pro-image-preview", "image", Decimal("0.05"), max_n=4, max_references=14),
    Model("gemini-2.5-flash-image-preview", "image", Decimal("0.02"), resolutions=_factors(_1K="1"), max_references=5),
    Model(
        "doubao-seedream-4-5",
        "image",
        Decimal("0.03"),
        sizes=(*RATIOS, "2048x2048", "2560x1440", "1440x2560", "1024x1024", "1024x768"),
        resolutions=_factors(_2K="1", _4K="2"),
        max_n=15,
        max_references=10,
    ),
    Model(
        "gpt-image-1.5",
        "image",
        Decimal("0.00476"),
        sizes=("1024x1024", "1536x1024", "1024x1536"),
        resolutions=_factors(),
        max_n=10,
        max_references=16,
        reserve=Decimal(4),
    ),
    Model("recraft-crisp-upscale", "image", Decimal("0.004"), sizes=(), prompt_required=False),
    Model(
        "kling-v2-6",
        "video",
        Decimal("0.07"),
        sizes=("16:9", "9:16", "1:1"),
        resolutions=_VIDEO_RESOLUTIONS,
        durations=(5, 10),
        max_references=2,
    ),
    Model(
        "veo3.1-fast",
        "video",
        Decimal("0.1"),
        sizes=("16:9", "9:16"),
        resolutions=_VIDEO_RESOLUTIONS,
        durations=(8, 6, 4),
        max_references=3,
    ),
    Model(
        "doubao-seedance-1-5-pro",
        "video",
        Decimal("0.025"),
        sizes=VIDEO_RATIOS,
        resolutions=_VIDEO_RESOLUTIONS,
        durations=(5, 4, 6, 7, 8, 9, 10, 11, 12),
        max_n=4,
        max_references=9,
    ),
    Model("suno", "music", Decimal("0.08"), sizes=(), resolutions=_factors(), max_references=0),
    Model("flowmusic", "music", Decimal("0.06"), sizes=(), resolutions=_factors(), max_references=0),
)

MODELS: Mapping[str, Model] = MappingProxyType({model.name: model for model in _TABLE})


def any_model(name: str, modality: Modality) -> Model:
    """Return a lenient model for a name that the table lacks."""
    if modality == "music":
        return Model(name, modality, Decimal("0.08"), sizes=(), resolutions=_factors(), max_references=0)
    if modality == "image":
        return Model(name, modality, Decimal("0.04"), sizes=(), max_n=15, max_references=16)
    return Model(
        name,
        modality,
        Decimal("0.08"),
        sizes=(),
        resolutions=_VIDEO_RESOLUTIONS,
        durations=(*range(5, 31), 1, 2, 3, 4),
        max_n=4,
        max_references=16,
    )
