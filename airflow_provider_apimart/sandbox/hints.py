"""Hints inside a request that make the sandbox fail, refuse or dawdle, for authors of DAGs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SLOW = 5.0
MODERATED = "SensitiveContentDetected: the output was blocked by moderation"
_WORDS = re.compile(r"\[sandbox:\s*(fail once|fail|moderation|refuse|nsfw|slow|stuck)\s*([^\]]*)\]", re.IGNORECASE)
_REFUSALS = {"refuse": "moderation_failed", "nsfw": "nsfw_content_detected"}


@dataclass(frozen=True)
class Hint:
    """
    What a request wants to happen to itself.

    :param fail: the reason to fail with
    :param once: fail only the first time this very body is accepted
    :param refuse: the documented error to refuse it with, by name
    :param seconds: how long to run, instead of a drawn time
    :param slower: how many times longer than usual to run
    """

    fail: str | None = None
    once: bool = False
    refuse: str | None = None
    seconds: float | None = None
    slower: float = 1.0


def read_hint(payload: Mapping[str, Any]) -> Hint:
    """Find the hint in ``metadata.sandbox``, or else in magic words such as ``[sandbox: fail]`` in the prompt."""
    metadata = payload.get("metadata")
    wish = metadata.get("sandbox") if isinstance(metadata, Mapping) else None
    if isinstance(wish, Mapping):
        return _from_metadata(wish)
    found = _WORDS.search(str(payload.get("prompt", "")))
    return _from_words(found[1].lower(), found[2].strip()) if found else Hint()


def _from_metadata(wish: Mapping[str, Any]) -> Hint:
    seconds = wish.get("seconds")
    return Hint(
        fail=str(wish["fail"]) if wish.get("fail") else None,
        once=bool(wish.get("once")),
        refuse=str(wish["refuse"]) if wish.get("refuse") else None,
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None,
    )


def _from_words(word: str, rest: str) -> Hint:
    if word in _REFUSALS:
        return Hint(refuse=_REFUSALS[word])
    if word == "slow":
        return Hint(slower=SLOW)
    if word == "stuck":
        return Hint(seconds=math.inf)
    if word == "moderation":
        return Hint(fail=MODERATED)
    return Hint(fail=rest or "upstream error", once=word == "fail once")
