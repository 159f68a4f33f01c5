"""Models of the sandbox: their inputs and prices, and the cost of a request. Plausible, not current."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.music import TRACKS
from airflow_provider_apimart.sandbox.service.tariffs import Tariff

Modality = Literal["image", "video", "music"]

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
CHOSEN_BY_MODEL = -1
LONGEST_CHOSEN = 30
REFERENCE_VIDEO_SECONDS = 5
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
    :param reserve: reservation at acceptance, as a multiple of the highest cost
    :param tariff: further pricing rules
    :param extras: JSON schemas of further parameters
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
    tariff: Tariff = field(default_factory=Tariff)
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def category(self) -> str:
        """Its category in the catalogue."""
        return "audio" if self.modality == "music" else self.modality

    @property
    def lowest_price(self) -> Decimal:
        """The lowest price that the catalogue shows."""
        tables = (*self.tariff.size_quality.values(), self.tariff.actions, self.tariff.modes)
        return min([self.price, *(price for table in tables for price in table.values())])

    @property
    def endpoint(self) -> str:
        """The path of its submits."""
        return "/v1/music/generations" if self.modality == "music" else f"/v1/{self.modality}s/generations"

    def outputs(self, payload: Mapping[str, Any]) -> int:
        """Return the number of outputs that a request asks for."""
        return TRACKS if self.modality == "music" else payload.get("n") or 1

    def seconds(self, payload: Mapping[str, Any]) -> int:
        """Return the length of a video in seconds; ``duration: -1`` leaves it to the model."""
        asked = payload.get("duration") or self.durations[0]
        return self.durations[0] if asked == CHOSEN_BY_MODEL else asked

    def cost(self, payload: Mapping[str, Any], outputs: int | None = None) -> Decimal:
        """
        Return the cost of a completed generation in US dollars.

        :param outputs: number of outputs delivered; by default as many as requested
        """
        return self._cost(payload, self.outputs(payload) if outputs is None else outputs, worst=False)

    def reservation(self, payload: Mapping[str, Any]) -> Decimal:
        """Return what is reserved at acceptance: the highest cost of the request, in US dollars."""
        return self._cost(payload, self.outputs(payload), worst=True) * self.reserve

    def _cost(self, payload: Mapping[str, Any], outputs: int, *, worst: bool) -> Decimal:
        tier = self.resolutions.get(str(payload.get("resolution")), Decimal(1))
        unit = self.tariff.unit_price(payload, self.price * tier, worst=worst)
        if self.modality == "music":
            return unit
        if not self.durations:
            return unit * outputs + self.tariff.references_price(reference_count(payload)) * bool(outputs)
        longest = worst and payload.get("duration") == CHOSEN_BY_MODEL
        seconds = LONGEST_CHOSEN if longest else self.seconds(payload)
        videos = REFERENCE_VIDEO_SECONDS * len(payload.get("video_urls") or ())
        return unit * outputs * seconds + unit * videos * bool(outputs)


def reference_count(payload: Mapping[str, Any]) -> int:
    """Return the number of reference images of a request."""
    return sum(len(payload.get(name) or ()) for name in ("image_urls", "image_with_roles"))


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
    Model(
        "gemini-3.1-flash-image-preview",
        "image",
        Decimal("0.04"),
        resolutions=_factors(_1K="1", _2K="1", _4K="2"),
        max_n=4,
        max_references=14,
        tariff=Tariff(discount_rate=Decimal("0.8"), unnamed=("1K", "2K")),
    ),
    Model(
        "gpt-image-2-ext",
        "image",
        Decimal("0.02"),
        sizes=("1:1", "16:9", "auto"),
        resolutions=_factors(_1K="1", _2K="1"),
        max_n=4,
        max_references=16,
        tariff=Tariff(
            size_quality={
                "1:1@1k": _factors(auto="0.02", low="0.01", high="0.08"),
                "16:9@1k": _factors(auto="0.03", low="0.015", high="0.12"),
                "1:1@2k": _factors(auto="0.09", low="0.04", high="0.25"),
                "16:9@2k": _factors(auto="0.15", low="0.06", high="0.4"),
            }
        ),
        extras={"quality": {"type": "string", "enum": ["auto", "low", "high"]}},
    ),
    Model(
        "qwen-image-edit",
        "image",
        Decimal("0.015"),
        resolutions=_factors(),
        max_n=4,
        max_references=4,
        tariff=Tariff(reference_price=Decimal("0.00195"), first_reference_free=True),
    ),
    Model(
        "flux-kontext-multi",
        "image",
        Decimal("0.03"),
        resolutions=_factors(),
        max_references=4,
        tariff=Tariff(reference_price=Decimal("0.004")),
    ),
    Model(
        "seedream-5.0-pro",
        "image",
        Decimal("0.03"),
        resolutions=_factors(_1K="1"),
        max_references=10,
        tariff=Tariff(layer_price=Decimal("0.02")),
        extras={"layer_decomposition": {"type": "boolean"}},
    ),
    Model(
        "gemini-3.1-flash-lite-image",
        "image",
        Decimal("0.032"),
        resolutions=_factors(),
        max_references=5,
        tariff=Tariff(tokens=True),
    ),
    Model(
        "grok-image-token",
        "image",
        Decimal("0.05"),
        resolutions=_factors(),
        tariff=Tariff(tokens=True, estimate=False),
    ),
    Model(
        "midjourney",
        "image",
        Decimal("0.05"),
        resolutions=_factors(),
        tariff=Tariff(actions=_factors(**{"imagine.relax": "0.03", "imagine.fast": "0.05", "imagine.turbo": "0.1"})),
        extras={"speed": {"type": "string", "enum": ["relax", "fast", "turbo"]}},
    ),
    Model(
        "kling-v3",
        "video",
        Decimal("0.084"),
        sizes=("16:9", "9:16", "1:1"),
        resolutions=_factors(),
        durations=(5, 10),
        max_references=2,
        tariff=Tariff(modes=_factors(**{"pro": "0.112", "sound": "0.126", "pro-sound": "0.168"})),
        extras={"mode": {"type": "string", "enum": ["std", "pro"]}, "sound": {"type": "boolean"}},
    ),
    Model(
        "seedance-2.5",
        "video",
        Decimal("0.216"),
        sizes=VIDEO_RATIOS,
        resolutions=_factors(_720p="1", _480p="0.444", _1080p="1.782"),
        durations=(5, CHOSEN_BY_MODEL, *range(4, 5), *range(6, 16)),
        max_references=9,
    ),
    Model(
        "suno",
        "music",
        Decimal("0.08"),
        sizes=(),
        resolutions=_factors(),
        max_references=0,
        tariff=Tariff(
            actions=_factors(**{"suno@music-v6": "0.08", "suno@music-v5": "0.06", "suno@music-v4.5": "0.05"}),
            max_mode_multiplier=Decimal("1.5"),
        ),
    ),
    Model(
        "flowmusic",
        "music",
        Decimal("0.06"),
        sizes=(),
        resolutions=_factors(),
        max_references=0,
        tariff=Tariff(actions=_factors(**{"flowmusic@generate": "0.06"})),
    ),
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
