"""
Record of one item, of a batch or of a task with one generation: the state that follows from its facts.

The state is a function of the set of facts: the order in which facts are read doesn't matter, nor how often one of them
is read. So two tries that write at the same time, or a file that is read twice, can't make a record forget anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_apimart.durable.attempt import OF_ATTEMPTS, Attempt, greater_marker
from airflow_provider_apimart.durable.facts import Fact, FactKind


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """
    What is known of one item: of a batch, or of a task with one generation.

    :param attempts: Its attempts by idempotency key, for all inputs it has had.
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
                marker = greater_marker(self.reuse_delivered.get(name), fact.details["clear_marker"])
                return replace(self, reuse_delivered={**self.reuse_delivered, name: marker})
            case FactKind.REPLACED:
                return replace(self, replaced=_latest(self.replaced, fact.order[1], fact))
        key = fact.details["key"]
        attempt = self.attempts.get(key) or Attempt(key)
        return replace(self, attempts={**self.attempts, key: attempt.with_fact(fact)})

    def latest(self, fingerprint: str) -> Attempt | None:
        """Return the latest attempt at an input, ``None`` if there is none."""
        of_input = [each for each in self.attempts.values() if each.fingerprint == fingerprint]
        return of_input[0] if len(of_input) == 1 else max(of_input, key=_attempt_order, default=None)

    def reuse(self, fingerprint: str, clear_marker: int | None = None) -> Fact | None:
        """
        Return the fact about the kept result that serves an input, ``None`` if there is none or it is paid for.

        :param clear_marker: ``ti.max_tries`` of a task that makes a new result when it is cleared after its delivery.
        """
        if fingerprint not in self.reused:
            return None
        attempt, delivered = self.latest(fingerprint), self.reuse_delivered.get(fingerprint)
        is_over = clear_marker is not None and delivered is not None and clear_marker > delivered
        is_paid = attempt is not None and attempt.may_be_charged
        return None if is_over or is_paid else self.reused[fingerprint]

    def may_reuse(self, fingerprint: str) -> bool:
        """
        Whether an input may be served by a kept result.

        Not where it may be paid for, and not where it was delivered: then a person asks for a new one.
        """
        of_input = [each for each in self.attempts.values() if each.fingerprint == fingerprint]
        is_paid = any(each.may_be_charged or each.delivered is not None for each in of_input)
        return not is_paid and fingerprint not in self.reuse_delivered

    def attempts_with(self, generation_id: str | None) -> list[Attempt]:
        """Return the attempts whose generation is known and has this id, ``None`` for results without an id."""
        return [each for each in self.attempts.values() if each.generation and each.generation_id == generation_id]

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
    # A try that gave way to an older one, which still ran, has noted a later attempt that was never sent.
    is_sent = attempt.generation is not None or attempt.unanswered_since is not None
    return attempt.number, is_sent, marker, attempt.first_sent, attempt.key


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
    attempts: defaultdict[str, dict[str, Attempt]] = defaultdict(dict)
    others: list[Fact] = []
    for fact in facts:
        if fact.kind in OF_ATTEMPTS:
            key, of_item = fact.details["key"], attempts[fact.item]
            of_item[key] = (of_item.get(key) or Attempt(key)).with_fact(fact)
        else:
            others.append(fact)
    items = {item: ItemRecord(of_item) for item, of_item in attempts.items()}
    for fact in others:
        items[fact.item] = items.get(fact.item, _NOTHING).with_fact(fact)
    return items


_NOTHING = ItemRecord()
