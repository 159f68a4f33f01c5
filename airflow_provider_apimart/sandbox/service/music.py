"""Music models: their fields, and the tracks of a call. Each call delivers two tracks and is billed once."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.replies import json_type, refusal

AudioFormat = Literal["mp3", "m4a", "wav"]

TRACKS = 2
LONGEST_RENDERED = 5.0
"""Maximum length of a rendered track in seconds, whatever length was requested."""

_WEIGHT = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}

FIELDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "suno": {
            "version": {"type": "string", "enum": ["v4.5", "v5", "v6"]},
            "custom": _FLAG,
            "instrumental": _FLAG,
            "prompt": _TEXT,
            "title": _TEXT,
            "style": _TEXT,
            "negative_tags": _TEXT,
            "vocal_gender": {"type": "string", "enum": ["m", "f"]},
            "style_weight": _WEIGHT,
            "weirdness_constraint": _WEIGHT,
            "audio_weight": _WEIGHT,
            "max_mode": _FLAG,
            "audio_format": {"type": "string", "enum": ["mp3", "m4a", "wav"]},
            "duration": {"type": "integer", "minimum": 10, "maximum": 360},
        },
        "flowmusic": {
            "sound_prompt": _TEXT,
            "lyrics": _TEXT,
            "title": _TEXT,
            "bpm": _TEXT,
            "length": {"type": "integer", "minimum": 1, "maximum": 240},
            "seed": {"type": "integer"},
        },
    }
)
"""JSON schemas of the fields of each music model."""

_PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
}


def check_music(model: str, payload: Mapping[str, Any]) -> None:
    """Refuse a music request without text, or with a field of a wrong type or out of range; unknown fields pass."""
    fields = FIELDS.get(model, {})
    for name, schema in fields.items():
        if payload.get(name) is not None:
            check_field(name, payload[name], schema)
    if not text_of(payload):
        raise refusal("prompt_required", f"{' or '.join(_text_fields(fields))} is required")


def _text_fields(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return ("sound_prompt", "lyrics") if "sound_prompt" in fields else ("prompt",)


def check_field(name: str, value: Any, schema: Mapping[str, Any]) -> None:
    """Refuse a value that a field's JSON schema doesn't allow."""
    expected = schema["type"]
    flag_for_number = isinstance(value, bool) and expected != "boolean"
    if flag_for_number or not isinstance(value, _PYTHON_TYPES[expected]):
        raise refusal("invalid_request", f"json: cannot unmarshal {json_type(value)} into {name} of type {expected}")
    if value not in schema.get("enum", [value]):
        raise refusal("invalid_request", f"invalid {name}: {value}, allowed: {' / '.join(schema['enum'])}")
    if "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        raise refusal("invalid_request", f"invalid {name}: {value}, allowed: {schema['minimum']} - {schema['maximum']}")


def text_of(payload: Mapping[str, Any]) -> str:
    """Return the text a request describes its music with: ``prompt``, ``sound_prompt`` or ``lyrics``."""
    texts = (str(payload.get(name) or "").strip() for name in ("prompt", "sound_prompt", "lyrics"))
    return next(filter(None, texts), "")


def audio_format(payload: Mapping[str, Any]) -> AudioFormat:
    """Return the format of ``audio_url``."""
    wanted = payload.get("audio_format")
    return wanted if wanted in ("m4a", "wav") else "mp3"


def track_seconds(payload: Mapping[str, Any]) -> float:
    """Return the length of a rendered track in seconds."""
    return float(min(payload.get("duration") or payload.get("length") or LONGEST_RENDERED, LONGEST_RENDERED))
