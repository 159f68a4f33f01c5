"""
Facts about paid generations, and the state that follows from them.

A record is a set of facts, and it only grows. The state of an item is a function of that set: the order in which facts
are read doesn't matter, nor how often one of them is read. So two tries that write at the same time, or a file that is
read twice, can't make a record forget anything.

Read :data:`FIELDS` first: it lists every kind of fact with its fields. :class:`Attempt` and :class:`ItemRecord` are the
state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject, plain

# A request needs some time to arrive, and clocks differ.
_KEY_MARGIN_SECONDS = 300.0


class FactKind(StrEnum):
    """Kind of a fact."""

    SENDING = "sending"
    """A POST with this idempotency key is about to be sent. Written before the POST."""
    REFUSED = "refused"
    """That POST was refused, or was never sent: nothing was charged for it."""
    SUBMITTED = "submitted"
    """The service has accepted a generation under this key."""
    ENDED = "ended"
    """The generation is completed or has failed."""
    SAVED = "saved"
    """Outputs of the generation are saved in the destination."""
    DELIVERED = "delivered"
    """The task has returned the generation. A clear after that asks for a new one."""
    STOPPED = "stopped"
    """A person was asked to decide. A clear after that is their decision to pay for a new one."""
    REUSED = "reused"
    """A kept result of an identical request serves this input: nothing is paid for it."""
    REUSE_DELIVERED = "reuse_delivered"
    """The task has returned a reused result. A clear after that asks for a new one."""
    UPLOADED = "uploaded"
    """A reference file was uploaded."""
    TROUBLE = "trouble"
    """The item failed for a reason other than money, such as a file that couldn't be saved."""
    REPLACED = "replaced"
    """A generation that version 1.0.0 recorded for an earlier input of this item."""


_NUMBER = (int, float)

#: The fields of each kind of fact, beside ``fact``, ``item`` and ``at`` (Unix time), which all of them have.
FIELDS: Mapping[FactKind, Mapping[str, type | tuple[type, ...]]] = {
    FactKind.SENDING: {
        "key": str,
        "send": str,
        "fingerprint": str,
        "attempt": int,
        "clear_marker": int,
        "key_scope": str,
        "uploads": Mapping,
        "modality": str,
        "request": Mapping,
        # Since 1.1.0: as Quote.to_json has it.
        "quote": (Mapping, type(None)),
    },
    FactKind.REFUSED: {"key": str, "send": str, "reason": str},
    FactKind.SUBMITTED: {"key": str, "generation": Mapping},
    FactKind.ENDED: {"key": str, "generation": Mapping, "reason": (str, type(None)), "moderated": bool},
    FactKind.SAVED: {"key": str, "files": list},
    FactKind.DELIVERED: {"key": str, "clear_marker": int},
    FactKind.STOPPED: {"key": str, "clear_marker": int},
    # Since 2.0.0.
    FactKind.REUSED: {
        "fingerprint": str,
        "modality": str,
        "request": Mapping,
        # As Generation.to_xcom has it, with the dollars that it had cost in saved_cost.
        "generation": Mapping,
        "saved_cost": (*_NUMBER, type(None)),
        "files": list,
    },
    FactKind.REUSE_DELIVERED: {"fingerprint": str, "clear_marker": int},
    FactKind.UPLOADED: {"sha256": str, "url": str, "expires_at": _NUMBER},
    FactKind.TROUBLE: {
        "fingerprint": str,
        "status": str,
        "reason": str,
        "clear_marker": int,
        "tried_at": _NUMBER,
    },
    FactKind.REPLACED: {"generation": Mapping},
}


@dataclass(frozen=True, slots=True)
class Fact:
    """
    One fact.

    :param item: The item of a batch that it is about; empty for a task with one generation.
    :param at: Unix time at which it was noted.
    :param details: The fields that :data:`FIELDS` lists for its kind.
    """

    kind: FactKind
    item: str
    at: float
    details: JsonObject

    def to_json(self) -> dict[str, Any]:
        """Return the fact as plain JSON."""
        return {"fact": self.kind.value, "item": self.item, "at": self.at, **self.details}

    @property
    def order(self) -> tuple[float, str]:
        """A total order of facts, the same for every reader."""
        return self.at, json.dumps(plain(self.details), sort_keys=True)

    def first_of(self, other: Fact | None) -> Fact:
        """Return the earlier one of two facts."""
        if other is None or other is self:
            return self
        if self.at != other.at:
            return self if self.at < other.at else other
        return min(self, other, key=lambda each: each.order)


_COMMON: Mapping[str, type | tuple[type, ...]] = {"fact": str, "item": str, "at": _NUMBER}
# Made once: tens of thousands of facts are read when a batch begins.
_KINDS = {kind.value: kind for kind in FactKind}
_CHECKED = {kind: tuple({**_COMMON, **FIELDS[kind]}.items()) for kind in FactKind}


def fact_from_json(value: object) -> Fact:
    """
    Return the fact that :meth:`Fact.to_json` wrote.

    :raises ValueError: If it is none, with the field that can't be read.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}, not an object")
    named = value.get("fact")
    kind = _KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise ValueError(f"{named!r} is no kind of fact that this version of the provider knows")
    for name, expected in _CHECKED[kind]:
        found = value.get(name)
        if not isinstance(found, expected) or (isinstance(found, bool) and expected is not bool):
            raise ValueError(f"the field {name!r} of a {kind.value} fact holds {type(found).__name__}")
    details = {name: each for name, each in value.items() if name not in _COMMON}
    return Fact(kind, value["item"], value["at"], details)


@dataclass(frozen=True, slots=True)
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

    @property
    def generation(self) -> JsonObject | None:
        """
        What is known of the generation: its id, or all of it where it has ended or its result came at once.

        A service that ignores the key may have made several: a completed one goes before one that runs, and both go
        before one that failed.
        """
        known = {**self.submitted, **self.ended}
        if len(known) > 1:
            best = min(known, key=lambda each: (self._standing(each), *known[each].order))
            return self._described(known[best])
        return next(map(self._described, known.values()), None)

    @staticmethod
    def _described(fact: Fact) -> JsonObject:
        described: JsonObject = fact.details["generation"]
        return described

    def _standing(self, generation_id: str) -> int:
        ended = self.ended.get(generation_id)
        if ended is None:
            return 1
        return 0 if _status(ended) is GenerationStatus.COMPLETED else 2

    @property
    def generation_id(self) -> str | None:
        """APIMart's id of the generation, ``None`` while it isn't known."""
        return (self.generation or {}).get("generation_id")

    @property
    def other_generation_ids(self) -> list[str]:
        """The ids of further generations that the service made under this key; there are none if it honours the key."""
        return sorted(each for each in self.submitted if each and each != self.generation_id)

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


def key_is_kept(sent_at: float | None, now: float) -> bool:
    """
    Whether APIMart still keeps a key whose first unanswered POST was sent at some time.

    :param sent_at: Unix time, ``None`` if no POST is unanswered: then nothing depends on the key.
    """
    return sent_at is None or now - sent_at < IDEMPOTENCY_KEY_LIFETIME.total_seconds() - _KEY_MARGIN_SECONDS


def _with_sending(attempt: Attempt, fact: Fact) -> Attempt:
    first = fact.first_of(attempt.sending)
    sent_at = min(fact.at, attempt.sends.get(fact.details["send"], fact.at))
    return replace(attempt, sending=first, sends={**attempt.sends, fact.details["send"]: sent_at})


def _with_refusal(attempt: Attempt, fact: Fact) -> Attempt:
    return replace(attempt, refused=attempt.refused | {fact.details["send"]})


def _with_submission(attempt: Attempt, fact: Fact) -> Attempt:
    generation_id = _generation_id(fact)
    first = fact.first_of(attempt.submitted.get(generation_id))
    return replace(attempt, submitted={**attempt.submitted, generation_id: first})


def _with_end(attempt: Attempt, fact: Fact) -> Attempt:
    generation_id = _generation_id(fact)
    known = attempt.ended.get(generation_id)
    fullest = fact if known is None else max(known, fact, key=_end_rank)
    return replace(attempt, ended={**attempt.ended, generation_id: fullest})


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


def _generation_id(fact: Fact) -> str:
    return str(fact.details["generation"].get("generation_id") or "")


def _status(fact: Fact) -> GenerationStatus:
    return GenerationStatus.of(fact.details["generation"].get("status"))


def _with_files(attempt: Attempt, fact: Fact) -> Attempt:
    known = attempt.saved
    fullest = fact if known is None else max(known, fact, key=lambda each: (len(each.details["files"]), *each.order))
    return replace(attempt, saved=fullest)


def _with_delivery(attempt: Attempt, fact: Fact) -> Attempt:
    return replace(attempt, delivered=_greater(attempt.delivered, fact.details["clear_marker"]))


def _with_stop(attempt: Attempt, fact: Fact) -> Attempt:
    return replace(attempt, stopped=_greater(attempt.stopped, fact.details["clear_marker"]))


def _greater(known: int | None, found: int) -> int:
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


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """
    What is known of one item: of a batch, or of a task with one generation.

    :param attempts: Its attempts by idempotency key, for whatever inputs it has had.
    :param troubles: The latest trouble of each input, by its fingerprint.
    :param uploads: The longest-lived upload of each file, by its SHA-256.
    :param replaced: Generations that version 1.0.0 recorded for earlier inputs, by their JSON.
    :param reused: The first kept result that serves an input, by the input's fingerprint.
    :param reuse_delivered: The greatest clear marker at which a reused result was delivered, by the fingerprint.
    """

    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    troubles: Mapping[str, Fact] = field(default_factory=dict)
    uploads: Mapping[str, Fact] = field(default_factory=dict)
    replaced: Mapping[str, Fact] = field(default_factory=dict)
    reused: Mapping[str, Fact] = field(default_factory=dict)
    reuse_delivered: Mapping[str, int] = field(default_factory=dict)

    def with_fact(self, fact: Fact) -> ItemRecord:
        """Return the record with one fact more; a fact that is known already changes nothing."""
        match fact.kind:
            case FactKind.TROUBLE:
                return replace(self, troubles=_latest(self.troubles, fact.details["fingerprint"], fact))
            case FactKind.UPLOADED:
                return replace(self, uploads=_longest_lived(self.uploads, fact))
            case FactKind.REUSED:
                return replace(self, reused=_first(self.reused, fact.details["fingerprint"], fact))
            case FactKind.REUSE_DELIVERED:
                name = fact.details["fingerprint"]
                marker = _greater(self.reuse_delivered.get(name), fact.details["clear_marker"])
                return replace(self, reuse_delivered={**self.reuse_delivered, name: marker})
            case FactKind.REPLACED:
                return replace(self, replaced=_latest(self.replaced, fact.order[1], fact))
        key = fact.details["key"]
        attempt = self.attempts.get(key) or Attempt(key)
        return replace(self, attempts={**self.attempts, key: attempt.with_fact(fact)})

    def latest(self, fingerprint: str) -> Attempt | None:
        """Return the latest attempt at an input, ``None`` if there is none."""
        of_input = [each for each in self.attempts.values() if each.fingerprint == fingerprint]
        return max(of_input, key=_attempt_order, default=None)

    def reuse(self, fingerprint: str, clear_marker: int | None = None) -> Fact | None:
        """
        Return the fact about the kept result that serves an input, ``None`` if there is none or it is paid for.

        :param clear_marker: ``ti.max_tries`` of a task that makes a new result when it is cleared after its delivery.
        """
        attempt, delivered = self.latest(fingerprint), self.reuse_delivered.get(fingerprint)
        is_over = clear_marker is not None and delivered is not None and clear_marker > delivered
        is_paid = attempt is not None and attempt.may_be_charged
        return None if is_over or is_paid else self.reused.get(fingerprint)

    def may_reuse(self, fingerprint: str) -> bool:
        """
        Whether an input may be served by a kept result.

        Not where it may be paid for, and not where it was delivered: then a person asks for a new one.
        """
        of_input = [each for each in self.attempts.values() if each.fingerprint == fingerprint]
        is_paid = any(each.may_be_charged or each.delivered is not None for each in of_input)
        return not is_paid and fingerprint not in self.reuse_delivered

    def others(self, fingerprint: str) -> list[Attempt]:
        """Return the attempts at other inputs, the latest last."""
        return _in_time(each for each in self.attempts.values() if each.fingerprint != fingerprint)

    def all_but(self, attempt: Attempt | None) -> list[Attempt]:
        """Return all attempts but one, the latest last."""
        return _in_time(each for each in self.attempts.values() if attempt is None or each.key != attempt.key)

    def check(self) -> None:
        """
        Check that each attempt has its beginning.

        :raises ValueError: If one lacks it, with its key: facts are missing then.
        """
        for attempt in self.attempts.values():
            if attempt.sending is None:
                raise ValueError(f"the submit with the idempotency key {attempt.key} is missing in the record")


def _in_time(attempts: Iterable[Attempt]) -> list[Attempt]:
    return sorted(attempts, key=lambda each: (each.first_sent, each.key))


def _attempt_order(attempt: Attempt) -> tuple[Any, ...]:
    marker = attempt.sending.details["clear_marker"] if attempt.sending else -1
    return attempt.number, marker, attempt.first_sent, attempt.key


def _latest(known: Mapping[str, Fact], name: str, fact: Fact) -> dict[str, Fact]:
    earlier = known.get(name)
    return {**known, name: fact if earlier is None else max(earlier, fact, key=lambda each: each.order)}


def _first(known: Mapping[str, Fact], name: str, fact: Fact) -> dict[str, Fact]:
    return {**known, name: fact.first_of(known.get(name))}


def _longest_lived(known: Mapping[str, Fact], fact: Fact) -> dict[str, Fact]:
    name = fact.details["sha256"]
    best = max(known.get(name, fact), fact, key=lambda each: (each.details["expires_at"], *each.order))
    return {**known, name: best}


def fold(facts: Iterable[Fact]) -> dict[str, ItemRecord]:
    """Return what is known of each item. It depends on the set of facts alone, not on their order or number."""
    items: dict[str, ItemRecord] = {}
    for fact in facts:
        items[fact.item] = items.get(fact.item, _NOTHING).with_fact(fact)
    return items


_NOTHING = ItemRecord()
