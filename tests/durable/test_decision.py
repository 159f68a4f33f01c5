from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_apimart.api.generation import Generation, GenerationStatus
from airflow_provider_apimart.durable.decision import (
    OnUnknownOutcome,
    ReadStatus,
    Repeat,
    Resume,
    Situation,
    Step,
    Stop,
    Submit,
)
from airflow_provider_apimart.durable.record import RecordState, SubmissionRecord, record_from_json

SENT = 1_000_000.0
DAY = 86_400.0
SENDING, REFUSED, STOPPED = RecordState.SENDING, RecordState.REFUSED, RecordState.STOPPED
SUBMITTED, DELIVERED = RecordState.SUBMITTED, RecordState.DELIVERED
WITH_ID = {"generation_id": "task_1"}
AT_ONCE = {"generation_id": None, "status": "completed", "urls": ["https://x/a.png"]}

HERE = Situation(fingerprint="f", clear_marker=0, key_scope="s", now=SENT + 60)
CLEARED = replace(HERE, clear_marker=1)


def record(state: RecordState, attempt: int = 1, generation: dict[str, object] | None = None) -> SubmissionRecord:
    return SubmissionRecord(
        state=state,
        fingerprint="f",
        clear_marker=0,
        attempt=attempt,
        idempotency_key="airflow-key",
        key_scope="s",
        recorded_at=SENT,
        generation=generation,
    )


def kind_of(step: Step) -> Submit | type[Step]:
    """Return what a submit would do, and of the other steps their class: they carry records and words."""
    return step if isinstance(step, Submit) else type(step)


@pytest.mark.parametrize("situation", [HERE, CLEARED, replace(HERE, on_unknown_outcome=OnUnknownOutcome.FAIL)])
def test_without_a_record_it_is_submitted(situation: Situation) -> None:
    assert situation.first_step(None) == Submit(attempt=1)


SITUATIONS: dict[str, Situation] = {
    "retry": HERE,
    "cleared": CLEARED,
    "key or host changed": replace(HERE, key_scope="other"),
    "key or host changed, cleared": replace(CLEARED, key_scope="other"),
    "just under 24 h": replace(HERE, now=SENT + DAY - 1),
    "24 h": replace(HERE, now=SENT + DAY),
    "24 h, cleared": replace(CLEARED, now=SENT + DAY),
    "fail": replace(HERE, on_unknown_outcome=OnUnknownOutcome.FAIL),
    "fail, cleared": replace(CLEARED, on_unknown_outcome=OnUnknownOutcome.FAIL),
}

# By state: what each situation leads to where no generation is known.
WITHOUT_GENERATION: dict[RecordState, dict[str, Submit | type[Step]]] = {
    SENDING: {
        "retry": Repeat,
        "cleared": Repeat,
        "key or host changed": Stop,
        "key or host changed, cleared": Stop,
        "just under 24 h": Repeat,
        "24 h": Stop,
        "24 h, cleared": Stop,
        "fail": Stop,
        "fail, cleared": Stop,
    },
    REFUSED: dict.fromkeys(SITUATIONS, Submit(3)),
    STOPPED: {
        "retry": Stop,
        "cleared": Submit(4),
        "key or host changed": Stop,
        "key or host changed, cleared": Submit(4),
        "just under 24 h": Stop,
        "24 h": Stop,
        "24 h, cleared": Submit(4),
        "fail": Stop,
        "fail, cleared": Submit(4),
    },
}


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("state", WITHOUT_GENERATION)
def test_without_a_generation(state: RecordState, situation: str) -> None:
    step = SITUATIONS[situation].first_step(record(state, attempt=3))
    assert kind_of(step) == WITHOUT_GENERATION[state][situation]


def test_the_reason_to_stop_is_told() -> None:
    reasons = {
        name: step.reason
        for name, situation in SITUATIONS.items()
        if isinstance(step := situation.first_step(record(SENDING)), Stop)
    }
    assert "24 hours" in reasons["24 h"]
    assert "host has changed" in reasons["key or host changed"]
    assert "on_unknown_outcome" in reasons["fail"]


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("state", [SUBMITTED, DELIVERED])
def test_a_known_generation_is_looked_at_first_whatever_happened(state: RecordState, situation: str) -> None:
    known = record(state, generation=dict(WITH_ID))
    assert SITUATIONS[situation].first_step(known) == ReadStatus(known, "task_1")


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_result_that_came_at_once_is_returned_unless_delivered_and_cleared(situation: str) -> None:
    here = SITUATIONS[situation]
    assert kind_of(here.first_step(record(SUBMITTED, generation=dict(AT_ONCE)))) == Resume
    delivered = here.first_step(record(DELIVERED, attempt=2, generation=dict(AT_ONCE)))
    assert kind_of(delivered) == (Submit(3) if "cleared" in situation else Resume)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_failure_that_came_at_once_is_a_new_attempt(situation: str) -> None:
    failed = record(SUBMITTED, attempt=2, generation=AT_ONCE | {"status": "failed", "generation_id": "task_1"})
    assert SITUATIONS[situation].first_step(failed) == Submit(3)


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("state", RecordState)
def test_a_changed_input_is_submitted_and_names_what_it_leaves_behind(state: RecordState, situation: str) -> None:
    here = replace(SITUATIONS[situation], fingerprint="other")
    known = record(state, attempt=5, generation=dict(WITH_ID) if state in (SUBMITTED, DELIVERED) else None)
    # What may have been charged must not be lost sight of where the user wants to decide.
    open_question = state is SENDING and here.on_unknown_outcome is OnUnknownOutcome.FAIL
    assert kind_of(here.first_step(known)) == (Stop if open_question else Submit(1, left_behind=known))


STATUSES: dict[str, Generation | None] = {
    "running": Generation("task_1", GenerationStatus.RUNNING, "processing"),
    "unlisted word": Generation("task_1", GenerationStatus.of("brand_new"), "brand_new"),
    "completed": Generation("task_1", GenerationStatus.COMPLETED, "completed"),
    "failed": Generation("task_1", GenerationStatus.FAILED, "failed"),
    "unknown id": None,
}
# (state, cleared) to what each status leads to.
AFTER_LOOK: dict[tuple[RecordState, bool], dict[str, type[Step]]] = {
    (SUBMITTED, False): {"running": Resume, "completed": Resume, "failed": Submit, "unknown id": Stop},
    (SUBMITTED, True): {"running": Resume, "completed": Resume, "failed": Submit, "unknown id": Stop},
    (DELIVERED, False): {"running": Resume, "completed": Resume, "failed": Submit, "unknown id": Stop},
    (DELIVERED, True): {"running": Resume, "completed": Submit, "failed": Submit, "unknown id": Stop},
    # A person was told that APIMart doesn't know it.
    (STOPPED, False): {"running": Resume, "completed": Resume, "failed": Submit, "unknown id": Stop},
    (STOPPED, True): {"running": Resume, "completed": Resume, "failed": Submit, "unknown id": Submit},
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("cleared", [False, True])
@pytest.mark.parametrize("state", [SUBMITTED, DELIVERED, STOPPED])
@pytest.mark.parametrize(
    "change", [{}, {"now": SENT + 2 * DAY}, {"key_scope": "other"}, {"on_unknown_outcome": OnUnknownOutcome.FAIL}]
)
def test_after_a_look(status: str, cleared: bool, state: RecordState, change: dict[str, object]) -> None:
    situation = replace(CLEARED if cleared else HERE, **change)  # type: ignore[arg-type]
    known = record(state, attempt=2, generation=dict(WITH_ID))
    expected = AFTER_LOOK[state, cleared]["running" if status == "unlisted word" else status]
    step = situation.after_status(known, STATUSES[status])
    assert kind_of(step) == (Submit(3, left_behind=known) if expected is Submit else expected)


@pytest.mark.parametrize("generation", [None, WITH_ID, AT_ONCE])
@pytest.mark.parametrize("state", RecordState)
def test_a_record_comes_back_from_json_as_it_was(state: RecordState, generation: dict[str, object] | None) -> None:
    kept = record(state, generation=generation)
    assert record_from_json(kept.to_json()) == kept


@pytest.mark.parametrize(
    "damaged",
    [
        "x",
        5,
        [],
        {},
        {"state": "sending"},
        {**record(SENDING).to_json(), "state": "new"},
        {**record(SENDING).to_json(), "more": 1},
    ],
)
def test_a_record_that_cannot_be_read_is_an_error(damaged: object) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        record_from_json(damaged)


def test_no_record_is_none() -> None:
    assert record_from_json(None) is None


@pytest.mark.parametrize("generation_id", [None, "task_1"])
def test_a_record_keeps_the_id_only_or_else_the_whole_result(generation_id: str | None) -> None:
    with_id = Generation("task_1", GenerationStatus.RUNNING, "pending", model="m")
    at_once = replace(with_id, generation_id=generation_id, status=GenerationStatus.COMPLETED)
    assert record(SENDING).submitted(with_id).generation == WITH_ID
    assert record(SENDING).submitted(at_once).delivered(9).generation == at_once.to_xcom()
    assert record(SENDING).submitted(with_id).generation_id == "task_1"
    assert record(SENDING).refused().generation_id is None
    assert record(SENDING).stopped(7).clear_marker == 7
