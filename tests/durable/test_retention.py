"""No record goes that is young or protects money, and every other one does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.retention import FETCHABLE, Retention, retention
from tests.durable.test_facts import facts

pytestmark = pytest.mark.slow

ages = st.timedeltas(timedelta(0), timedelta(days=200))
moments = st.floats(0, 400 * 86_400)
DAY = timedelta(days=1)


def answered_keys(found: Iterable[Fact]) -> set[str]:
    return {fact.details["key"] for fact in found if fact.kind in (FactKind.SUBMITTED, FactKind.ENDED)}


def has_unknown_outcome(found: list[Fact]) -> bool:
    """Judge by the facts themselves: a POST that was neither refused nor answered."""
    refused = {(each.details["key"], each.details["send"]) for each in found if each.kind is FactKind.REFUSED}
    sent = [each for each in found if each.kind is FactKind.SENDING]
    return any(
        each.details["key"] not in answered_keys(found)
        and (each.item, each.details["key"], each.details["send"]) not in {(each.item, *pair) for pair in refused}
        for each in sent
    )


def of_one_item(found: list[Fact]) -> list[Fact]:
    return [Fact(fact.kind, "", fact.at, fact.details) for fact in found]


@given(st.lists(facts, min_size=1, max_size=10).map(of_one_item), ages, moments)
def test_what_goes_is_old_and_protects_nothing(found: list[Fact], age: timedelta, now: float) -> None:
    newest = max(fact.at for fact in found)
    is_old = now - newest >= age.total_seconds()
    verdict = retention(found, age, now)
    assert (verdict is Retention.YOUNG) is not is_old
    if has_unknown_outcome(found):
        assert verdict is not Retention.REMOVABLE
    elif is_old and now - newest >= FETCHABLE.total_seconds():
        assert verdict is Retention.REMOVABLE
    ended = {fact.details["key"] for fact in found if fact.kind is FactKind.ENDED}
    if now - newest < FETCHABLE.total_seconds() and answered_keys(found) - ended:
        assert verdict is not Retention.REMOVABLE


@given(st.lists(facts, max_size=10), ages, ages, moments)
def test_a_greater_age_removes_no_more(found: list[Fact], one: timedelta, other: timedelta, now: float) -> None:
    less, more = sorted((one, other))
    if retention(found, more, now) is Retention.REMOVABLE:
        assert retention(found, less, now) is Retention.REMOVABLE


@given(st.lists(facts, max_size=10), facts, ages.filter(bool), moments)
def test_what_a_task_has_just_written_stays(found: list[Fact], fact: Fact, age: timedelta, now: float) -> None:
    written = Fact(fact.kind, fact.item, now, fact.details)
    assert retention([*found, written], age, now) is Retention.YOUNG


def fact(kind: FactKind, day: float, **details: object) -> Fact:
    return Fact(kind, "", day * 86_400, {"key": "k", **details})


SENDING = fact(
    FactKind.SENDING, 1, send="s", fingerprint="f", attempt=1, clear_marker=0, key_scope="", uploads={}, request={}
)
RUNNING = fact(FactKind.SUBMITTED, 1, generation={"generation_id": "task_1"})
COMPLETED = fact(FactKind.ENDED, 1, generation={"generation_id": "task_1", "status": "completed"}, moderated=False)
FAILED = fact(FactKind.ENDED, 1, generation={"generation_id": "task_1", "status": "failed"}, moderated=False)
SAVED = fact(FactKind.SAVED, 1, files=[{"uri": "x"}])
DELIVERED = fact(FactKind.DELIVERED, 1, clear_marker=0)
REFUSED = fact(FactKind.REFUSED, 1, send="s", reason="no")


def test_what_may_still_be_fetched_stays_for_three_days() -> None:
    cases = [
        ([SENDING, RUNNING], 4),
        ([SENDING, RUNNING, COMPLETED], 4),
        ([SENDING, RUNNING, COMPLETED, SAVED], 2),
        ([SENDING, RUNNING, COMPLETED, DELIVERED], 2),
        ([SENDING, RUNNING, FAILED], 2),
        ([SENDING, REFUSED], 2),
        ([], 2),
    ]
    for found, first_day in cases:
        days = [day for day in range(2, 7) if retention(found, DAY, day * 86_400) is Retention.REMOVABLE]
        assert days == list(range(first_day, 7)), found


def test_what_may_have_been_charged_stays_for_ever() -> None:
    assert retention([SENDING], DAY, 10_000 * 86_400) is Retention.PROTECTS_MONEY
    stopped = fact(FactKind.STOPPED, 2, clear_marker=0)
    assert retention([SENDING, stopped], DAY, 10_000 * 86_400) is Retention.PROTECTS_MONEY
