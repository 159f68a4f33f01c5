"""Which old records may be removed. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import Enum, auto

from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.durable.item_record import ItemRecord, fold

#: APIMart forgets a generation within days, and the URLs of its results die sooner. Until then a retry may fetch them.
FETCHABLE = timedelta(hours=72)


class Retention(Enum):
    """Whether a record may be removed."""

    REMOVABLE = auto()
    YOUNG = auto()
    """Its newest fact is younger than the age."""
    PROTECTS_MONEY = auto()
    """A submit may have been charged whose generation isn't known, or a generation may still be fetched."""


def retention(facts: Iterable[Fact], age: timedelta, now: float) -> Retention:
    """
    Return whether a record may be removed.

    A record with a submit of unknown outcome stays, however old it is. One with a generation that wasn't seen finished,
    or is neither delivered nor saved, stays for 72 hours after its newest fact, also if the age is less.

    :param facts: All facts of the record.
    :param age: A record whose newest fact is younger stays.
    :param now: The Unix time.
    """
    known = list(facts)
    since = now - max((fact.at for fact in known), default=-math.inf)
    if since < age.total_seconds():
        return Retention.YOUNG
    attempts = [attempt for item in fold(known).values() for attempt in item.attempts.values()]
    if any(attempt.unanswered_since is not None for attempt in attempts):
        return Retention.PROTECTS_MONEY
    if since < FETCHABLE.total_seconds() and not all(map(_is_over, attempts)):
        return Retention.PROTECTS_MONEY
    return Retention.REMOVABLE


def is_in_ledger(facts: Iterable[Fact], ledger: bytes) -> bool:
    """
    Whether a batch's ledger names every generation that was paid for or reused, so that it can stand for the record.

    :param ledger: Its content, empty if there is none.
    """
    return all(
        json.dumps(each, ensure_ascii=False).encode() in ledger
        for item in fold(facts).values()
        for each in _generations(item)
    )


def _generations(item: ItemRecord) -> Iterator[str]:
    for attempt in item.attempts.values():
        if attempt.may_be_charged:
            yield str(attempt.generation_id or attempt.key)
    latest = max(item.reused.values(), key=lambda fact: fact.order, default=None)
    if latest is not None and not item.attempts:
        yield str(latest.details["generation"].get("generation_id"))


def _is_over(attempt: Attempt) -> bool:
    """Whether nothing more can be had from an attempt."""
    if attempt.is_completed:
        return attempt.delivered is not None or attempt.saved is not None
    return attempt.has_failed or attempt.generation is None
