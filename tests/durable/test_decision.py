"""The protocol of paying once, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME
from airflow_provider_apimart.durable.decision import (
    FIRST_RULES,
    RULES,
    Action,
    OnUnknownOutcome,
    ReadStatus,
    Situation,
    decide,
)
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.item_record import ItemRecord, fold
from tests.durable.test_facts import sending

SENT = 1_000_000.0
DAY = IDEMPOTENCY_KEY_LIFETIME.total_seconds()
FAIL = OnUnknownOutcome.FAIL
AT_ONCE: dict[str, Any] = {"generation_id": None, "status": "completed", "outputs": []}


def fact(kind: FactKind, **details: Any) -> Fact:
    return Fact(kind, "", SENT + 1, {"key": "k", **details})


SENDING = sending("k", attempt=2, at=SENT)
REFUSED = fact(FactKind.REFUSED, send=SENDING.details["send"], reason="no")
SUBMITTED = fact(FactKind.SUBMITTED, generation={"generation_id": "task_1"})
RESULT = fact(FactKind.SUBMITTED, generation=AT_ONCE)
STOPPED = fact(FactKind.STOPPED, clear_marker=3)
DELIVERED = fact(FactKind.DELIVERED, clear_marker=3)
FAILED = fact(FactKind.ENDED, generation={"generation_id": "task_1", "status": "failed"}, reason="no", moderated=False)


def situation(*facts: Fact, **changes: Any) -> Situation:
    record = fold(facts).get("", ItemRecord())
    here = Situation(record, fingerprint="cat", clear_marker=3, key_scope="scope", now=SENT + 60)
    return replace(here, **changes)


CLEARED = {"clear_marker": 4}
ROWS: dict[str, tuple[Situation, Action]] = {
    "nothing": (situation(), Action.SUBMIT),
    "nothing, fail": (situation(on_unknown_outcome=FAIL), Action.SUBMIT),
    "another input": (situation(SENDING, SUBMITTED, fingerprint="dog"), Action.SUBMIT),
    "another input, unknown": (situation(SENDING, fingerprint="dog"), Action.SUBMIT),
    "another input, unknown, fail": (situation(SENDING, fingerprint="dog", on_unknown_outcome=FAIL), Action.STOP),
    "another input, asked, fail": (
        situation(SENDING, STOPPED, fingerprint="dog", on_unknown_outcome=FAIL),
        Action.SUBMIT,
    ),
    "unknown": (situation(SENDING), Action.REPEAT),
    "unknown, cleared": (situation(SENDING, **CLEARED), Action.REPEAT),
    "unknown, key or host changed": (situation(SENDING, key_scope="other"), Action.STOP),
    "unknown, just under 24 h": (situation(SENDING, now=SENT + DAY - 600), Action.REPEAT),
    "unknown, 24 h": (situation(SENDING, now=SENT + DAY), Action.STOP),
    "unknown, 24 h, cleared": (situation(SENDING, now=SENT + DAY, **CLEARED), Action.STOP),
    "unknown, fail": (situation(SENDING, on_unknown_outcome=FAIL), Action.STOP),
    "unknown, asked": (situation(SENDING, STOPPED), Action.STOP),
    "unknown, asked, cleared": (situation(SENDING, STOPPED, **CLEARED), Action.SUBMIT_NEXT),
    "refused": (situation(SENDING, REFUSED), Action.SUBMIT),
    "refused, 24 h": (situation(SENDING, REFUSED, now=SENT + DAY), Action.SUBMIT),
    "refused once of two": (situation(SENDING, REFUSED, sending("k", attempt=2, at=SENT + 2)), Action.REPEAT),
    "result at once": (situation(SENDING, RESULT), Action.RESUME),
    "result at once, delivered": (situation(SENDING, RESULT, DELIVERED), Action.RESUME),
    "result at once, delivered, cleared": (situation(SENDING, RESULT, DELIVERED, **CLEARED), Action.SUBMIT_NEXT),
    "id": (situation(SENDING, SUBMITTED), Action.READ_STATUS),
    "id, 24 h": (situation(SENDING, SUBMITTED, now=SENT + DAY), Action.READ_STATUS),
    "id, fail": (situation(SENDING, SUBMITTED, on_unknown_outcome=FAIL), Action.READ_STATUS),
    "id, key changed": (situation(SENDING, SUBMITTED, key_scope="other"), Action.READ_STATUS),
    "running": (situation(SENDING, SUBMITTED, status=ReadStatus.RUNNING), Action.RESUME),
    "running, delivered, cleared": (
        situation(SENDING, SUBMITTED, DELIVERED, status=ReadStatus.RUNNING, **CLEARED),
        Action.RESUME,
    ),
    "completed": (situation(SENDING, SUBMITTED, status=ReadStatus.COMPLETED), Action.RESUME),
    "completed, cleared": (situation(SENDING, SUBMITTED, status=ReadStatus.COMPLETED, **CLEARED), Action.RESUME),
    "completed, delivered": (situation(SENDING, SUBMITTED, DELIVERED, status=ReadStatus.COMPLETED), Action.RESUME),
    "completed, delivered, cleared": (
        situation(SENDING, SUBMITTED, DELIVERED, status=ReadStatus.COMPLETED, **CLEARED),
        Action.SUBMIT_NEXT,
    ),
    "failed": (situation(SENDING, SUBMITTED, status=ReadStatus.FAILED), Action.SUBMIT_NEXT),
    "seen failed": (situation(SENDING, SUBMITTED, FAILED), Action.SUBMIT_NEXT),
    "not found": (situation(SENDING, SUBMITTED, status=ReadStatus.NOT_FOUND), Action.STOP),
    "not found, cleared": (situation(SENDING, SUBMITTED, status=ReadStatus.NOT_FOUND, **CLEARED), Action.STOP),
    "not found, asked": (situation(SENDING, SUBMITTED, STOPPED, status=ReadStatus.NOT_FOUND), Action.STOP),
    "not found, asked, cleared": (
        situation(SENDING, SUBMITTED, STOPPED, status=ReadStatus.NOT_FOUND, **CLEARED),
        Action.SUBMIT_NEXT,
    ),
    "not found, delivered, cleared": (
        situation(SENDING, SUBMITTED, DELIVERED, status=ReadStatus.NOT_FOUND, **CLEARED),
        Action.SUBMIT_NEXT,
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_protocol(name: str) -> None:
    found, action = ROWS[name]
    assert decide(found).does is action


def test_every_rule_of_the_table_is_reached() -> None:
    assert {decide(found).finds for found, _ in ROWS.values()} == {rule.finds for rule in (*FIRST_RULES, *RULES)}


def test_the_person_who_decides_is_given_a_reason() -> None:
    assert all(rule.reason for rule in (*FIRST_RULES, *RULES) if rule.does is Action.STOP)


def test_an_input_that_comes_back_finds_its_own_generation() -> None:
    """The input was changed to and fro: what the first one made is taken up again, and not paid for twice."""
    dog = sending("k2", fingerprint="dog", at=SENT + 5)
    assert decide(situation(SENDING, SUBMITTED, dog)).does is Action.READ_STATUS
