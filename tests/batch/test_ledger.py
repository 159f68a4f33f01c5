from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.batch.ledger import (
    ItemStatus,
    Ledger,
    LedgerEntry,
    Todo,
    entry_from_json,
    newest,
)
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.store import RecordStore
from tests.batch.support import TASK, as_items

NOW, BEFORE = 2000.0, 1000.0


def ledger_of(
    *written: object, earlier: dict[str, LedgerEntry] | None = None, marker: int = 3, started_at: float = NOW
) -> tuple[Ledger, list[LedgerEntry]]:
    changes: list[LedgerEntry] = []
    return Ledger(as_items(written), earlier or {}, changes.append, marker, started_at), changes


def submission(item: object, state: str = "submitted", generation_id: str | None = "task_1") -> dict[str, Any]:
    """Return the record of an item's submit as the protocol writes it."""
    request = as_items([item])[0].request
    paid = PaidOnce(task=TASK, request=request, store=RecordStore(None), key_scope="scope")
    record = paid._new_record(1, {}).to_json()
    return record | {"state": state, "generation": generation_id and {"generation_id": generation_id}}


def completed(generation_id: str = "task_1", **facts: Any) -> Any:
    outputs = [{"url": "https://files.example/1.png", "kind": "image", "expires_at": None}]
    return generation_from_xcom(
        {"generation_id": generation_id, "status": "completed", "outputs": outputs, "cost": 0.02, **facts}
    )


STATES = [
    (ItemStatus.NOT_SUBMITTED, Todo.SUBMIT, Todo.SUBMIT),
    (ItemStatus.UNKNOWN, Todo.RESUME, Todo.NOTHING),
    (ItemStatus.RUNNING, Todo.RESUME, Todo.NOTHING),
    (ItemStatus.FAILED, Todo.SUBMIT, Todo.NOTHING),
    (ItemStatus.REFUSED, Todo.SUBMIT, Todo.NOTHING),
]


@pytest.mark.parametrize(("status", "next_try", "same_try"), STATES)
def test_trouble_is_the_next_tries_business(status: ItemStatus, next_try: Todo, same_try: Todo) -> None:
    """A try that waits in the triggerer comes back many times; it must not send a failure again each time."""
    ledger, changes = ledger_of("a cat")
    ledger.note_trouble("0", status, "why")
    assert ledger.todo("0", saves=False) is same_try
    for started_at, todo in ((NOW, same_try), (NOW + 1, next_try)):
        later, _ = ledger_of("a cat", earlier={"0": changes[-1]}, started_at=started_at)
        assert later.todo("0", saves=False) is todo


def test_what_a_submit_made_after_trouble_is_waited_for_in_the_same_try() -> None:
    ledger, _ = ledger_of("a cat")
    ledger.note_trouble("0", ItemStatus.NOT_SUBMITTED, "asked to slow down")
    ledger.slot("0").set("", submission("a cat"))
    assert ledger["0"].status is ItemStatus.RUNNING
    assert ledger.todo("0", saves=False) is Todo.RESUME


def test_moderation_is_final_until_a_person_clears_the_task() -> None:
    ledger, changes = ledger_of("a cat", started_at=BEFORE)
    ledger.note_trouble("0", ItemStatus.MODERATED, "sensitive")
    for marker, todo in ((3, Todo.NOTHING), (4, Todo.SUBMIT)):
        assert ledger_of("a cat", earlier={"0": changes[-1]}, marker=marker)[0].todo("0", saves=False) is todo


def test_a_completed_item_is_only_saved() -> None:
    ledger, changes = ledger_of("a cat")
    ledger.slot("0").set("", submission("a cat"))
    ledger.note_generation("0", completed())
    for marker in (3, 4):
        later, _ = ledger_of("a cat", earlier={"0": changes[-1]}, marker=marker)
        assert later.todo("0", saves=False) is Todo.NOTHING
        assert later.todo("0", saves=True) is Todo.SAVE
    ledger.note_files("0", [{"uri": "file:///1.png"}])
    assert ledger.todo("0", saves=True) is Todo.NOTHING
    assert ledger["0"].saved is not None


def test_a_completed_item_without_media_needs_no_saving() -> None:
    ledger, _ = ledger_of("a cat")
    ledger.note_generation("0", completed(outputs=[]))
    assert ledger.todo("0", saves=True) is Todo.NOTHING


def test_a_running_generation_costs_nothing_yet() -> None:
    """What APIMart tells of it is reserved, and given back should it fail."""
    ledger, _ = ledger_of("a cat")
    ledger.note_generation("0", generation_from_xcom({"generation_id": "t", "status": "processing", "cost": 0.5}))
    assert ledger["0"].cost is None
    ledger.note_generation("0", completed())
    assert ledger["0"].cost == Decimal("0.02")


@pytest.mark.parametrize(
    ("state", "generation_id", "status"),
    [
        ("sending", None, ItemStatus.UNKNOWN),
        ("stopped", None, ItemStatus.UNKNOWN),
        ("refused", None, ItemStatus.NOT_SUBMITTED),
        ("submitted", "task_1", ItemStatus.RUNNING),
        ("delivered", "task_1", ItemStatus.RUNNING),
    ],
)
def test_the_record_of_the_submit_says_how_far_an_item_is(
    state: str, generation_id: str | None, status: ItemStatus
) -> None:
    ledger, changes = ledger_of("a cat")
    ledger.slot("0").set("", submission("a cat", state, generation_id))
    assert (ledger["0"].status, ledger["0"].generation_id) == (status, generation_id)
    again = entry_from_json(json.loads(json.dumps(changes[-1].to_json())))
    taken_up, _ = ledger_of("a cat", earlier={"0": again})
    assert taken_up.slot("0").get("") == ledger.slot("0").get("")


def test_an_unchanged_item_is_taken_over_as_it_was() -> None:
    ledger, changes = ledger_of("a cat", "a dog")
    ledger.slot("1").set("", submission("a dog"))
    earlier = newest(changes)
    later, written = ledger_of("a cat", "a dog", earlier=earlier)
    assert later.entries == list(earlier.values())
    assert written == []


def test_reordered_items_keep_what_they_have_by_their_ids() -> None:
    one, two = {"id": "one", "prompt": "x"}, {"id": "two", "prompt": "y"}
    ledger, changes = ledger_of(one, two)
    ledger.slot("two").set("", submission(two))
    later, _ = ledger_of(two, one, earlier=newest(changes))
    assert [(entry.id, entry.position, entry.status) for entry in later.entries] == [
        ("two", 0, ItemStatus.RUNNING),
        ("one", 1, ItemStatus.NOT_SUBMITTED),
    ]


def test_a_changed_input_begins_anew_and_remembers_what_was_paid() -> None:
    ledger, changes = ledger_of("a cat")
    ledger.slot("0").set("", submission("a cat"))
    ledger.note_generation("0", completed())
    later, written = ledger_of("a dog", earlier=newest(changes))
    entry = later["0"]
    assert (entry.status, entry.generation_id, entry.prompt) == (ItemStatus.NOT_SUBMITTED, None, "a dog")
    assert entry.earlier == ({"generation_id": "task_1", "status": "completed", "cost": 0.02, "files": []},)
    assert entry.total_cost == Decimal("0.02")
    assert entry.submission is not None, "the protocol tells from it what is left behind"
    assert newest([*changes, *written])["0"] is entry


def test_a_changed_input_remembers_that_a_price_is_not_known() -> None:
    ledger, changes = ledger_of("a cat")
    ledger.slot("0").set("", submission("a cat"))
    assert ledger_of("a dog", earlier=newest(changes))[0]["0"].earlier_costs == [None]


def test_a_changed_input_remembers_nothing_of_what_was_refused() -> None:
    ledger, changes = ledger_of("a cat")
    ledger.slot("0").set("", submission("a cat", "refused", None))
    ledger.note_trouble("0", ItemStatus.REFUSED, "no such size")
    later, _ = ledger_of("a dog", earlier=newest(changes))
    assert later["0"].earlier == ()
    assert later.todo("0", saves=False) is Todo.SUBMIT


def test_an_input_that_changed_before_it_was_sent_is_described_anew() -> None:
    _, changes = ledger_of("a cat")
    later, written = ledger_of({"prompt": "a dog", "model": "other"}, earlier=newest(changes))
    assert (later["0"].prompt, later["0"].model) == ("a dog", "other")
    assert newest([*changes, *written])["0"].prompt == "a dog"


def test_items_that_are_not_asked_for_any_more_are_left_behind() -> None:
    _, changes = ledger_of("a cat", "a dog")
    later, written = ledger_of("a cat", earlier=newest(changes))
    assert [entry.id for entry in later.left_behind] == ["1"]
    assert [entry.id for entry in later.entries] == ["0"]
    assert written == []


def test_the_newest_line_of_an_item_wins_in_whatever_order_they_are_read() -> None:
    lines = [LedgerEntry("a", 0, revision=revision, reason=str(revision)) for revision in (2, 5, 3)]
    assert newest(lines)["a"].reason == newest(reversed(lines))["a"].reason == "5"


def test_a_line_survives_its_journey() -> None:
    entry = LedgerEntry(
        "a",
        3,
        ItemStatus.COMPLETED,
        "task_1",
        prompt="ein Füchslein \u2028",
        outputs=({"url": "u"},),
        cost=Decimal("0.00476"),
        tried_at=1234567890.123456,
    )
    again = entry_from_json(json.loads(json.dumps(entry.to_json())))
    assert replace(again, outputs=tuple(again.outputs), files=(), earlier=()) == entry


def test_a_line_of_a_later_version_is_read() -> None:
    assert entry_from_json({"id": "a", "position": 0, "status": "failed", "mood": "gloomy"}).id == "a"


@pytest.mark.parametrize("line", [{}, {"id": "a"}, {"id": "a", "position": 0, "status": "unheard of"}, {"position": 1}])
def test_what_is_no_line_is_told(line: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no line of a batch's ledger"):
        entry_from_json(line)
