from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.ledger_entry import ledger_text
from airflow_provider_apimart.batch.todo import Todo
from airflow_provider_apimart.durable.facts import Fact, FactKind
from airflow_provider_apimart.durable.item_record import ItemRecord, fold
from airflow_provider_apimart.durable.item_status import ItemStatus
from tests.batch.support import as_items

NOW, BEFORE = 2000.0, 1000.0


def ledger_of(
    *written: object, earlier: list[Fact] | None = None, marker: int = 3, started_at: float = NOW
) -> tuple[Ledger, list[Fact]]:
    """Return a ledger, and all facts: those of earlier tries and what it notes."""
    facts = list(earlier or [])
    records: dict[str, ItemRecord] = fold(facts)
    return Ledger(as_items(written), records, facts.append, marker, started_at), facts


def submit(ledger: Ledger, item_id: str, fingerprint: str, key: str = "k", **changes: Any) -> None:
    """Note what the protocol notes before a POST."""
    details = {
        "key": key,
        "send": key,
        "fingerprint": fingerprint,
        "attempt": 1,
        "clear_marker": 3,
        "key_scope": "scope",
        "uploads": {},
        "modality": "image",
        "request": {"prompt": "a cat"},
    }
    ledger.record(item_id).note(FactKind.SENDING, **{**details, **changes})


def submitted(ledger: Ledger, item: object, item_id: str = "0", generation_id: str = "task_1") -> None:
    submit(ledger, item_id, as_items([item])[0].request.fingerprint)
    ledger.record(item_id).note(FactKind.SUBMITTED, key="k", generation={"generation_id": generation_id})


def completed(generation_id: str = "task_1", **facts: Any) -> Any:
    outputs = [{"url": "https://files.example/1.png", "kind": "image", "expires_at": None}]
    return generation_from_xcom(
        {"generation_id": generation_id, "status": "completed", "outputs": outputs, "cost": 0.02, **facts}
    )


STATES = [
    (ItemStatus.NOT_SUBMITTED, Todo.SUBMIT, Todo.SUBMIT),
    (ItemStatus.REFUSED, Todo.SUBMIT, Todo.NOTHING),
]


@pytest.mark.parametrize(("status", "next_try", "same_try"), STATES)
def test_trouble_is_the_next_tries_business(status: ItemStatus, next_try: Todo, same_try: Todo) -> None:
    """A try that waits in the triggerer comes back many times; it must not send a failure again each time."""
    ledger, facts = ledger_of("a cat")
    ledger.note_trouble("0", status, "why")
    assert ledger.todo("0", saves=False) is same_try
    for started_at, todo in ((NOW, same_try), (NOW + 1, next_try)):
        later, _ = ledger_of("a cat", earlier=facts, started_at=started_at)
        assert later.todo("0", saves=False) is todo


def test_an_item_that_runs_into_trouble_is_left_to_the_next_try() -> None:
    ledger, facts = ledger_of("a cat")
    submitted(ledger, "a cat")
    ledger.note_trouble("0", ItemStatus.RUNNING, "its status couldn't be read")
    assert (ledger["0"].status, ledger["0"].reason) == (ItemStatus.RUNNING, "its status couldn't be read")
    assert ledger.todo("0", saves=False) is Todo.NOTHING
    assert ledger_of("a cat", earlier=facts, started_at=NOW + 1)[0].todo("0", saves=False) is Todo.RESUME


def test_what_a_submit_made_after_trouble_is_waited_for_in_the_same_try() -> None:
    ledger, _ = ledger_of("a cat")
    ledger.note_trouble("0", ItemStatus.NOT_SUBMITTED, "asked to slow down")
    submitted(ledger, "a cat")
    assert (ledger["0"].status, ledger["0"].reason) == (ItemStatus.RUNNING, None)
    assert ledger.todo("0", saves=False) is Todo.RESUME


@pytest.mark.parametrize("with_generation", [False, True])
def test_moderation_is_final_until_a_person_clears_the_task(with_generation: bool) -> None:
    ledger, facts = ledger_of("a cat", started_at=BEFORE)
    if with_generation:
        submitted(ledger, "a cat")
        failed = {"key": "k", "generation": {"generation_id": "task_1", "status": "failed"}, "reason": "sensitive"}
        ledger.record("0").note(FactKind.ENDED, **failed, moderated=True)
    ledger.note_trouble("0", ItemStatus.MODERATED, "sensitive")
    assert ledger["0"].status is ItemStatus.MODERATED
    for marker, todo in ((3, Todo.NOTHING), (4, Todo.SUBMIT)):
        assert ledger_of("a cat", earlier=facts, marker=marker)[0].todo("0", saves=False) is todo


def test_a_completed_item_is_only_saved() -> None:
    ledger, facts = ledger_of("a cat")
    submitted(ledger, "a cat")
    ledger.note_end("0", completed())
    for marker in (3, 4):
        later, _ = ledger_of("a cat", earlier=facts, marker=marker)
        assert later.todo("0", saves=False) is Todo.NOTHING
        assert later.todo("0", saves=True) is Todo.SAVE
    ledger.note_files("0", [{"uri": "file:///1.png"}])
    assert ledger.todo("0", saves=True) is Todo.NOTHING
    assert ledger["0"].saved is not None


def test_a_file_that_could_not_be_saved_has_its_reason_until_it_is_saved() -> None:
    ledger, _ = ledger_of("a cat")
    submitted(ledger, "a cat")
    ledger.note_end("0", completed())
    ledger.note_trouble("0", ItemStatus.COMPLETED, "the disk is full")
    assert (ledger["0"].status, ledger["0"].reason) == (ItemStatus.COMPLETED, "the disk is full")
    ledger.note_files("0", [{"uri": "file:///1.png"}])
    assert ledger["0"].reason is None


def test_a_completed_item_without_media_needs_no_saving_and_keeps_its_result() -> None:
    ledger, _ = ledger_of("a cat")
    submitted(ledger, "a cat")
    ledger.note_end("0", completed(outputs=[], result={"prompt": "a text"}))
    assert ledger.todo("0", saves=True) is Todo.NOTHING
    assert ledger["0"].result == {"prompt": "a text"}


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], ItemStatus.UNKNOWN),
        ([(FactKind.STOPPED, {"clear_marker": 3})], ItemStatus.UNKNOWN),
        ([(FactKind.REFUSED, {"send": "k", "reason": "no"})], ItemStatus.NOT_SUBMITTED),
        ([(FactKind.SUBMITTED, {"generation": {"generation_id": "task_1"}})], ItemStatus.RUNNING),
    ],
)
def test_the_facts_about_the_submit_say_how_far_an_item_is(
    facts: list[tuple[FactKind, dict[str, Any]]], status: ItemStatus
) -> None:
    ledger, noted = ledger_of("a cat")
    submit(ledger, "0", as_items(["a cat"])[0].request.fingerprint)
    for kind, details in facts:
        ledger.record("0").note(kind, key="k", **details)
    assert ledger["0"].status is status
    assert ledger_of("a cat", earlier=noted)[0]["0"] == ledger["0"]


def test_reordered_items_keep_what_they_have_by_their_ids() -> None:
    one, two = {"id": "one", "prompt": "x"}, {"id": "two", "prompt": "y"}
    ledger, facts = ledger_of(one, two)
    submitted(ledger, two, "two")
    later, _ = ledger_of(two, one, earlier=facts)
    assert [(entry.id, entry.position, entry.status) for entry in later.entries] == [
        ("two", 0, ItemStatus.RUNNING),
        ("one", 1, ItemStatus.NOT_SUBMITTED),
    ]


def test_a_changed_input_starts_over_and_remembers_what_was_paid() -> None:
    ledger, facts = ledger_of("a cat")
    submitted(ledger, "a cat")
    ledger.note_end("0", completed())
    entry = ledger_of("a dog", earlier=facts)[0]["0"]
    assert (entry.status, entry.generation_id, entry.prompt) == (ItemStatus.NOT_SUBMITTED, None, "a dog")
    assert entry.earlier == (
        {"generation_id": "task_1", "status": "completed", "cost": 0.02, "quote": None, "files": []},
    )
    assert entry.total_cost == Decimal("0.02")
    assert ledger_of("a cat", earlier=facts)[0]["0"].status is ItemStatus.COMPLETED


def test_a_changed_input_remembers_that_a_price_is_not_known() -> None:
    ledger, facts = ledger_of("a cat")
    submitted(ledger, "a cat")
    assert ledger_of("a dog", earlier=facts)[0]["0"].earlier_costs == [None]


def test_a_changed_input_remembers_nothing_of_what_was_refused() -> None:
    ledger, facts = ledger_of("a cat")
    submit(ledger, "0", as_items(["a cat"])[0].request.fingerprint)
    ledger.record("0").note(FactKind.REFUSED, key="k", send="k", reason="no such size")
    ledger.note_trouble("0", ItemStatus.REFUSED, "no such size")
    later, _ = ledger_of("a dog", earlier=facts)
    assert later["0"].earlier == ()
    assert later.todo("0", saves=False) is Todo.SUBMIT


def test_items_that_are_not_asked_for_any_more_are_left_behind() -> None:
    ledger, facts = ledger_of("a cat", "a dog")
    submitted(ledger, "a dog", "1")
    later, _ = ledger_of("a cat", earlier=facts)
    assert [(entry.id, entry.generation_id) for entry in later.left_behind] == [("1", "task_1")]
    assert [entry.id for entry in later.entries] == ["0"]


def test_a_line_says_what_was_asked_for() -> None:
    ledger, _ = ledger_of({"prompt": "a cat", "n": 3, "size": "16:9", "parameters": {"style": "oil"}}, "a dog")
    assert ledger["0"].requested == 3
    assert ledger["0"].request == {"n": 3, "size": "16:9", "style": "oil"}
    assert ledger["1"].requested == 1


def test_a_ledger_is_json_lines_for_every_reader() -> None:
    ledger, _ = ledger_of("ein Füchslein \u2028\u0085\n", "a cat")
    lines = ledger_text(ledger.entries).decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["0", "1"]
    assert json.loads(lines[0])["prompt"] == "ein Füchslein \u2028\u0085\n"
