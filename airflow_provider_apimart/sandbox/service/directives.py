"""Directives in a request that make the sandbox fail, refuse or delay it, for authors of DAGs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_apimart.sandbox.service.music import text_of

SLOW = 5.0
MODERATED = "SensitiveContentDetected: the output was blocked by moderation"
_WORDS = re.compile(
    r"\[sandbox:\s*(fail once|fail|moderation|refuse|nsfw|slow|stuck|short)\s*([^\]]*)\]", re.IGNORECASE
)
_REFUSALS = {"refuse": "moderation_failed", "nsfw": "nsfw_content_detected"}


@dataclass(frozen=True)
class Directive:
    """
    The outcome that a request asks for.

    :param fail: the reason of the failure
    :param once: fail only the first time this body is accepted
    :param refuse: the name of the documented error to refuse it with
    :param seconds: run time, instead of a random one
    :param slower: factor on the run time
    :param short: deliver one output less than asked for
    :param outputs: deliver at most this many outputs
    """

    fail: str | None = None
    once: bool = False
    refuse: str | None = None
    seconds: float | None = None
    slower: float = 1.0
    short: bool = False
    outputs: int | None = None


def read_directive(payload: Mapping[str, Any]) -> Directive:
    """Return the directive in ``metadata.sandbox``, or else in the prompt, such as ``[sandbox: fail]``."""
    metadata = payload.get("metadata")
    fields = metadata.get("sandbox") if isinstance(metadata, Mapping) else None
    if isinstance(fields, Mapping):
        return _from_metadata(fields)
    found = _WORDS.search(text_of(payload))
    return _from_words(found[1].lower(), found[2].strip()) if found else Directive()


def _from_metadata(fields: Mapping[str, Any]) -> Directive:
    seconds, outputs = fields.get("seconds"), fields.get("outputs")
    return Directive(
        fail=str(fields["fail"]) if fields.get("fail") else None,
        once=bool(fields.get("once")),
        refuse=str(fields["refuse"]) if fields.get("refuse") else None,
        seconds=float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None,
        outputs=outputs if isinstance(outputs, int) and outputs >= 0 else None,
    )


def _from_words(word: str, rest: str) -> Directive:
    if word in _REFUSALS:
        return Directive(refuse=_REFUSALS[word])
    if word == "slow":
        return Directive(slower=SLOW)
    if word == "short":
        return Directive(short=True)
    if word == "stuck":
        return Directive(seconds=math.inf)
    if word == "moderation":
        return Directive(fail=MODERATED)
    return Directive(fail=rest or "upstream error", once=word == "fail once")
