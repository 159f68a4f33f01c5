"""Attempt at a paid generation: everything that is known under one idempotency key."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.idempotency_key import key_is_kept


@dataclass(frozen=True)
class Attempt:
    """
    One attempt at a paid generation: everything that is known under one idempotency key.

    :param key: The idempotency key.
    :param sending: The first of the facts about its POSTs, ``None`` if only later facts were read.
    :param sends: When each POST was about to be sent, Unix time by its id.
    :param refused: The ids of POSTs that charged nothing.
    :param submitted: The facts about accepted generations by their ids, ``""`` for a result without an id.
    :param ended: The fact that says most about the end of each generation, by the generation's id.
    :param saved: The fact that lists most saved files.
    :param delivered: The greatest clear marker at which it was delivered, ``None`` if it wasn't.
    :param stopped: The greatest clear marker at which a person was asked to decide, ``None`` if none was.
    """

    key: str
    sending: Fact | None = None
    sends: Mapping[str, float] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    submitted: Mapping[str, Fact] = field(default_factory=dict)
    ended: Mapping[str, Fact] = field(default_factory=dict)
    saved: Fact | None = None
    delivered: int | None = None
    stopped: int | None = None

    @property
    def fingerprint(self) -> str | None:
        """Digest of the full request."""
        return self.sending.details["fingerprint"] if self.sending else None

    @property
    def number(self) -> int:
        """Number of the attempt; each failed generation increases it."""
        return int(self.sending.details["attempt"]) if self.sending else 0

    @property
    def key_scope(self) -> str | None:
        """The API key and host for which the key holds."""
        return self.sending.details["key_scope"] if self.sending else None

    @property
    def uploads(self) -> Mapping[str, str]:
        """The URLs that were sent in place of files; a repetition sends the same ones."""
        return self.sending.details["uploads"] if self.sending else {}

    @property
    def request(self) -> JsonObject:
        """The request, in which files have names by their content."""
        return self.sending.details["request"] if self.sending else {}

    @property
    def quote(self) -> JsonObject | None:
        """What the request was quoted at before it was sent, as plain JSON."""
        return self.sending.details.get("quote") if self.sending else None

    @property
    def modality(self) -> str | None:
        """Its modality, ``None`` if unknown."""
        return (self.sending.details["modality"] if self.sending else None) or None

    @property
    def first_sent(self) -> float:
        """Unix time before the first POST with this key."""
        return min(self.sends.values(), default=0.0)

    @property
    def sent_at(self) -> str:
        """Time of its first submit, in the form in which a person finds it in APIMart's log."""
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.first_sent))

    @property
    def unanswered_since(self) -> float | None:
        """Unix time of the first POST that may have been charged and whose generation isn't known."""
        if self.submitted or self.ended:
            return None
        return min((at for send, at in self.sends.items() if send not in self.refused), default=None)

    @property
    def outcome_is_unknown(self) -> bool:
        """Whether a POST may have been charged whose generation isn't known, and nobody was asked to decide."""
        return self.unanswered_since is not None and self.stopped is None

    @cached_property
    def generation(self) -> JsonObject | None:
        """
        What is known of the generation: its id, or all of it where it has ended or its result came at once.

        A service that ignores the key may have made several: a completed one goes before one that runs, and both go
        before one that failed.
        """
        known = {**self.submitted, **self._ended_at_last}
        if len(known) > 1:
            best = min(known.values(), key=lambda fact: (_STANDINGS.get(_status(fact), 1), *fact.order))
            return _described(best)
        return next(map(_described, known.values()), None)

    @property
    def _ended_at_last(self) -> Mapping[str, Fact]:
        """The ends that count: a result that came at once isn't forgotten for a failure that was seen later."""
        return {
            generation_id: fact
            for generation_id, fact in self.ended.items()
            if _status(fact) is GenerationStatus.COMPLETED
            or generation_id not in self.submitted
            or _status(self.submitted[generation_id]) is not GenerationStatus.COMPLETED
        }

    @property
    def generation_id(self) -> str | None:
        """APIMart's id of the generation, ``None`` while it isn't known."""
        return (self.generation or {}).get("generation_id")

    @property
    def result(self) -> Generation | None:
        """The generation where its result came at once, so that there is no task whose status could be read."""
        known = self.generation
        at_once = self.submitted.get(self.generation_id or "")
        if known is None or at_once is None or "status" not in at_once.details["generation"]:
            return None
        return generation_from_xcom(known if "status" in known else at_once.details["generation"])

    @property
    def has_failed(self) -> bool:
        """Whether the generation was seen failed, so that it is refunded."""
        return GenerationStatus.of((self.generation or {}).get("status")) is GenerationStatus.FAILED

    @property
    def is_completed(self) -> bool:
        """Whether the generation was seen completed."""
        return GenerationStatus.of((self.generation or {}).get("status")) is GenerationStatus.COMPLETED

    @property
    def may_be_charged(self) -> bool:
        """Whether money was or may have been paid for it, as far as is known."""
        return not self.has_failed and (self.generation is not None or self.unanswered_since is not None)

    @property
    def files(self) -> list[JsonObject]:
        """The saved files."""
        return self.saved.details["files"] if self.saved else []

    def key_is_kept(self, now: float) -> bool:
        """Whether APIMart still keeps the key, so that the identical request isn't charged a second time."""
        return key_is_kept(self.unanswered_since, now)

    def with_fact(self, fact: Fact) -> Attempt:
        """Return the attempt with one fact more; a fact that is known already changes nothing."""
        return _JOINS[fact.kind](self, fact)


def _changed(attempt: Attempt, **changes: Any) -> Attempt:
    """Do as :func:`dataclasses.replace` does, in a fifth of its time: a batch reads tens of thousands of facts."""
    changed = object.__new__(Attempt)
    vars(changed).update(vars(attempt), **changes)
    # It follows from the other fields.
    vars(changed).pop("generation", None)
    return changed


def _with_sending(attempt: Attempt, fact: Fact) -> Attempt:
    first = fact.first_of(attempt.sending)
    sent_at = min(fact.at, attempt.sends.get(fact.details["send"], fact.at))
    return _changed(attempt, sending=first, sends={**attempt.sends, fact.details["send"]: sent_at})


def _with_refusal(attempt: Attempt, fact: Fact) -> Attempt:
    return _changed(attempt, refused=attempt.refused | {fact.details["send"]})


def _with_submission(attempt: Attempt, fact: Fact) -> Attempt:
    generation_id = _generation_id(fact)
    first = fact.first_of(attempt.submitted.get(generation_id))
    return _changed(attempt, submitted={**attempt.submitted, generation_id: first})


def _with_end(attempt: Attempt, fact: Fact) -> Attempt:
    generation_id = _generation_id(fact)
    known = attempt.ended.get(generation_id)
    fullest = fact if known is None else max(known, fact, key=_end_rank)
    return _changed(attempt, ended={**attempt.ended, generation_id: fullest})


def _end_rank(fact: Fact) -> tuple[Any, ...]:
    """Order ends by how much they say: a completed one is never forgotten for a failed one."""
    generation = fact.details["generation"]
    return (
        _status(fact) is GenerationStatus.COMPLETED,
        generation.get("cost") is not None,
        *_counts(generation.get("outputs")),
        *fact.order,
    )


def _counts(outputs: object) -> tuple[int, int]:
    """Return how many outputs there are, and how many of them have a URL."""
    known = outputs if isinstance(outputs, list) else []
    return len(known), sum(isinstance(each, Mapping) and bool(each.get("url")) for each in known)


# One that runs comes between them.
_STANDINGS = {GenerationStatus.COMPLETED: 0, GenerationStatus.FAILED: 2}


def _described(fact: Fact) -> JsonObject:
    described: JsonObject = fact.details["generation"]
    return described


def _generation_id(fact: Fact) -> str:
    return str(fact.details["generation"].get("generation_id") or "")


def _status(fact: Fact) -> GenerationStatus:
    return GenerationStatus.of(fact.details["generation"].get("status"))


def _with_files(attempt: Attempt, fact: Fact) -> Attempt:
    known = attempt.saved
    fullest = fact if known is None else max(known, fact, key=lambda each: (len(each.details["files"]), *each.order))
    return _changed(attempt, saved=fullest)


def _with_delivery(attempt: Attempt, fact: Fact) -> Attempt:
    return _changed(attempt, delivered=greater_marker(attempt.delivered, fact.details["clear_marker"]))


def _with_stop(attempt: Attempt, fact: Fact) -> Attempt:
    return _changed(attempt, stopped=greater_marker(attempt.stopped, fact.details["clear_marker"]))


def greater_marker(known: int | None, found: int) -> int:
    """Return the greater one of two clear markers, of which the first may be missing."""
    return found if known is None else max(known, found)


_JOINS: Mapping[FactKind, Callable[[Attempt, Fact], Attempt]] = {
    FactKind.SENDING: _with_sending,
    FactKind.REFUSED: _with_refusal,
    FactKind.SUBMITTED: _with_submission,
    FactKind.ENDED: _with_end,
    FactKind.SAVED: _with_files,
    FactKind.DELIVERED: _with_delivery,
    FactKind.STOPPED: _with_stop,
}

#: The kinds of facts that are about an attempt.
OF_ATTEMPTS = frozenset(_JOINS)
