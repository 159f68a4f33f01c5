"""Variants of a request that have prices of their own: resolution, size, quality, mode, action, references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_apimart.api.reference_fields import is_path, names_references

_PIXELS = re.compile(r"\d+\s*[x*\u00d7]\s*\d+", re.IGNORECASE)
_SOUND_FIELDS = ("sound", "generate_audio", "with_audio", "enable_audio", "audio")
# As other services call the number of outputs.
_OTHER_COUNT = re.compile(
    r"(num(ber)?_?(of_)?|n_?)(images|outputs|samples|videos|results|variations)|(image|output|sample|batch)s?_?(count|size)"
    r"|count|batch|samples|variations|candidate_?count",
    re.IGNORECASE,
)
_ONE = (None, 1, "1", "")
_ON = (True, "on", "true", "yes", 1)
_OFF = (False, None, "off", "false", "no", 0, "")
_BASE_MODES = frozenset({"", "std", "standard"})
_COUNTED_REFERENCES = ("image_urls", "image_with_roles")
# Addresses that aren't inputs of the model.
_NO_REFERENCES = frozenset({"webhook", "metadata", "prompt", "negative_prompt", "lyrics", "model"})
_VIDEO_FIELD = re.compile(r"videos?(_?ids?)?$", re.IGNORECASE)
_VIDEO_FILE = re.compile(r"\.(mp4|mov|webm|mkv|m4v|avi)([?#].*)?$", re.IGNORECASE)


class UnknownVariantError(ValueError):
    """A request names something whose price can't be known; the message is a clause that says what."""


def word(value: object) -> str | None:
    """
    Return a name as price lists are read: in lower case, ``None`` where there is none.

    :raises UnknownVariantError: If it is neither a text nor a number.
    """
    if value is not None and not isinstance(value, str | int | float):
        raise UnknownVariantError(f"the price with a {type(value).__name__} in place of a name isn't published")
    try:
        return None if value is None else str(value).strip().lower() or None
    except ValueError:
        # A whole number of thousands of digits, which Python doesn't write.
        raise UnknownVariantError("the price with such a number in place of a name isn't published") from None


def is_pixels(size: str | None) -> bool:
    """Whether a size is given in pixels, which may imply a resolution."""
    return size is not None and bool(_PIXELS.fullmatch(size))


def mode(payload: Mapping[str, Any]) -> str:
    """
    Return the key of a video's mode and sound, such as ``pro-sound``; empty for the base mode.

    :raises UnknownVariantError: If its sound is neither on nor off.
    """
    sound = "-sound" if _has_sound(payload) else ""
    return mode_name(f"{word(payload.get('mode')) or ''}{sound}")


def mode_name(written: str) -> str:
    """Return the key of a mode without the words for the base mode: ``std-sound`` is ``sound``."""
    return "-".join(part for part in written.split("-") if part not in _BASE_MODES)


def _has_sound(payload: Mapping[str, Any]) -> bool:
    for name in _SOUND_FIELDS:
        value = payload.get(name)
        value = value.strip().lower() if isinstance(value, str) else value
        if isinstance(value, list) and all(_is_reference(name, each) for each in value):
            # Audio that the model hears isn't sound that it makes.
            continue
        if any(value == on and isinstance(value, type(on)) for on in _ON):
            return True
        if not any(value == off for off in _OFF):
            raise UnknownVariantError(f"the price with this {name} isn't published")
    return False


def is_on(value: object) -> bool:
    """Whether a switch of a request is on; anything but a plain "off" counts as on."""
    value = value.strip().lower() if isinstance(value, str) else value
    return not any(value == off and (value is None or isinstance(value, type(off))) for off in _OFF)


def other_count(payload: Mapping[str, Any]) -> str | None:
    """Return the field that names a number of outputs above one in place of the contract's ``n``, if there is one."""
    return next((name for name, value in payload.items() if _OTHER_COUNT.fullmatch(name) and value not in _ONE), None)


def reference_count(payload: Mapping[str, Any]) -> int:
    """Return how many reference images a request has in the fields that the contract defines for them."""
    return sum(len(list(_listed(payload.get(name)))) for name in _COUNTED_REFERENCES)


def other_references(payload: Mapping[str, Any]) -> int:
    """Return how many further addresses and files a request holds, which may be reference images."""
    fields = ((name, value) for name, value in payload.items() if name not in {*_COUNTED_REFERENCES, *_NO_REFERENCES})
    return sum(1 for name, value in fields for _ in _other_references(name, value))


def has_reference_video(payload: Mapping[str, Any]) -> bool:
    """Whether a request has a reference video, whose length is billed too."""
    return any(_is_video(name, value) for name, value in payload.items() if name not in _NO_REFERENCES)


def _is_video(name: str, value: object) -> bool:
    match value:
        case Mapping():
            role = str(value.get("role") or value.get("type") or "").lower()
            return "video" in role or any(_is_video(f"{name}.{key}", each) for key, each in value.items())
        case list() | tuple():
            return any(_is_video(name, each) for each in value)
    if isinstance(value, str) and value and _VIDEO_FIELD.search(name):
        return True
    return _is_reference(name, value) and ("video" in name.lower() or bool(_VIDEO_FILE.search(str(value))))


def _is_reference(name: str, value: object) -> bool:
    """Whether a value is an address, or a file in a field for addresses."""
    if not isinstance(value, str):
        return is_path(value)
    is_address = "://" in value or value.startswith("sha256:")
    return is_address or (bool(value) and names_references(name.rpartition(".")[2]))


def _listed(value: object) -> Iterable[object]:
    if value is None or value == "":
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _other_references(name: str, value: object) -> Iterator[object]:
    match value:
        case Mapping():
            for key, each in value.items():
                yield from _other_references(str(key), each)
        case list() | tuple():
            for each in value:
                yield from _other_references(name, each)
        case _ if _is_reference(name, value):
            yield value
