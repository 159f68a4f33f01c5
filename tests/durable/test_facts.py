"""The state of an item is a function of the set of its facts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.durable.facts import FIELDS, Fact, FactKind, fact_from_json
from airflow_provider_apimart.durable.item_record import ItemRecord, fold

pytestmark = pytest.mark.slow

KEYS = ("key-1", "key-2", "key-3")
FINGERPRINTS = ("cat", "dog")


def generation(generation_id: str | None, status: str | None, cost: float | None) -> dict[str, Any]:
    said: dict[str, Any] = {"generation_id": generation_id}
    return said | ({"status": status, "cost": cost, "outputs": []} if status else {})


generations = st.builds(
    generation,
    st.sampled_from(["task_1", "task_2", None]),
    st.sampled_from(["completed", "failed"]),
    st.sampled_from([None, 0.02, 0.5]),
)
markers = st.integers(3, 9)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "key": st.sampled_from(KEYS),
    "send": st.sampled_from(["a", "b", "c"]),
    "fingerprint": st.sampled_from(FINGERPRINTS),
    "attempt": st.integers(1, 3),
    "clear_marker": markers,
    "key_scope": st.just("scope"),
    "uploads": st.just({}),
    "modality": st.sampled_from(["image", ""]),
    "request": st.just({"prompt": "a cat"}),
    "quote": st.sampled_from([None, {"cost": 0.02, "certainty": "exact", "reason": None}]),
    "reason": st.sampled_from(["no", "yes"]),
    "generation": generations,
    "moderated": st.booleans(),
    "saved_cost": st.sampled_from([None, 0.02, 1]),
    "files": st.lists(st.just({"uri": "u"}), max_size=2),
    "sha256": st.sampled_from(["1", "2"]),
    "url": st.sampled_from(["https://x/1", "https://x/2"]),
    "expires_at": st.floats(0, 100),
    "status": st.sampled_from(["refused", "running"]),
    "tried_at": st.floats(0, 100),
}


def facts_of(kind: FactKind) -> st.SearchStrategy[Fact]:
    details = st.fixed_dictionaries({name: VALUES[name] for name in FIELDS[kind]})
    return st.builds(Fact, st.just(kind), st.sampled_from(["", "a"]), st.floats(0, 100), details)


facts = st.sampled_from(list(FactKind)).flatmap(facts_of)


@given(st.lists(facts, max_size=12), st.randoms())
def test_the_order_of_facts_and_their_number_count_for_nothing(found: list[Fact], chance: Any) -> None:
    again = [*found, *found]
    chance.shuffle(again)
    assert fold(again) == fold(found)


@given(st.lists(facts, max_size=8), st.lists(facts, max_size=8))
def test_what_was_known_is_never_forgotten(found: list[Fact], more: list[Fact]) -> None:
    """What may have been charged is known for as long as nothing says that it was refunded."""
    before, after = fold(found), fold([*found, *more])
    for item, record in before.items():
        for key, attempt in record.attempts.items():
            later = after[item].attempts[key]
            assert later.sends.keys() >= attempt.sends.keys()
            assert later.submitted.keys() >= attempt.submitted.keys()
            assert later.ended.keys() >= attempt.ended.keys()
            assert len(later.files) >= len(attempt.files)
            assert (later.delivered or -1) >= (attempt.delivered or -1)
            assert (later.stopped or -1) >= (attempt.stopped or -1)
            assert later.is_completed or not attempt.is_completed
        for fingerprint, reuse in record.reused.items():
            assert after[item].reused[fingerprint].at <= reuse.at, "the first of all is the one that counts"
        for fingerprint, marker in record.reuse_delivered.items():
            assert after[item].reuse_delivered[fingerprint] >= marker


@given(facts)
def test_a_fact_survives_its_journey(fact: Fact) -> None:
    assert fact_from_json(json.loads(json.dumps(fact.to_json()))) == fact


@given(facts, st.data())
def test_a_fact_with_a_field_of_another_type_is_refused_by_its_name(fact: Fact, data: st.DataObject) -> None:
    written = fact.to_json()
    expected = {"item": str, "at": (int, float), **FIELDS[fact.kind]}
    name = data.draw(st.sampled_from(sorted(expected)))
    wrong = [value for value in ({"x": 1}, [1], "x", 5, None, True) if not _fits(value, expected[name])]
    with pytest.raises(ValueError, match=f"the field '{name}'"):
        fact_from_json({**written, name: data.draw(st.sampled_from(wrong))})


def _fits(value: object, expected: Any) -> bool:
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))


@pytest.mark.parametrize("value", [None, 5, [], {}, {"fact": "new"}, {"fact": ["sending"]}])
def test_what_is_no_fact_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        fact_from_json(value)


def sending(key: str, fingerprint: str = "cat", attempt: int = 1, marker: int = 3, at: float = 1.0) -> Fact:
    details = {
        "key": key,
        "send": f"{key}-{at}",
        "fingerprint": fingerprint,
        "attempt": attempt,
        "clear_marker": marker,
        "key_scope": "scope",
        "uploads": {},
        "modality": "image",
        "request": {},
    }
    return Fact(FactKind.SENDING, "", at, details)


def record(*found: Fact) -> ItemRecord:
    return fold(found)[""]


def test_a_refusal_answers_its_own_post_only() -> None:
    """Two writers may send the same key: that one of them was refused says nothing of the other."""
    refused = Fact(FactKind.REFUSED, "", 2.0, {"key": "k", "send": "k-2.0", "reason": "429"})
    known = record(sending("k"), sending("k", at=2.0), refused).latest("cat")
    assert known is not None
    assert known.outcome_is_unknown
    assert known.unanswered_since == 1.0
    both = record(sending("k", at=2.0), refused).latest("cat")
    assert both is not None
    assert both.unanswered_since is None


def test_a_facts_beginning_that_is_missing_is_noticed() -> None:
    submitted = Fact(FactKind.SUBMITTED, "", 2.0, {"key": "k", "generation": {"generation_id": "task_1"}})
    with pytest.raises(ValueError, match="the submit with the idempotency key k is missing"):
        record(submitted).check()


def test_a_service_that_ignores_the_key_leaves_all_its_generations_in_the_record() -> None:
    def submitted(name: str, at: float) -> Fact:
        return Fact(FactKind.SUBMITTED, "", at, {"key": "k", "generation": {"generation_id": name}})

    failed = Fact(
        FactKind.ENDED,
        "",
        9.0,
        {"key": "k", "generation": generation("task_1", "failed", None), "reason": None, "moderated": False},
    )
    known = record(sending("k"), submitted("task_1", 2.0), submitted("task_2", 3.0)).latest("cat")
    assert known is not None
    assert (known.generation_id, sorted(known.submitted)) == ("task_1", ["task_1", "task_2"])
    known = record(sending("k"), submitted("task_1", 2.0), submitted("task_2", 3.0), failed).latest("cat")
    assert known is not None
    assert (known.generation_id, known.has_failed) == ("task_2", False)


def reused(fingerprint: str = "cat", at: float = 2.0, **details: Any) -> Fact:
    said = {"modality": "image", "request": {}, "generation": {"generation_id": "old"}, "saved_cost": 1, "files": []}
    return Fact(FactKind.REUSED, "", at, {"fingerprint": fingerprint, **said, **details})


@given(st.lists(facts, max_size=12))
def test_a_kept_result_serves_no_input_that_may_be_paid_for(found: list[Fact]) -> None:
    for known in fold(found).values():
        for fingerprint in FINGERPRINTS:
            attempt = known.latest(fingerprint)
            if attempt is not None and attempt.may_be_charged:
                assert known.reuse(fingerprint) is None
                assert not known.may_reuse(fingerprint)
            elif fingerprint in known.reused:
                assert known.reuse(fingerprint) is known.reused[fingerprint]


def test_a_clear_after_the_delivery_of_a_kept_result_goes_past_the_library() -> None:
    delivered = Fact(FactKind.REUSE_DELIVERED, "", 3.0, {"fingerprint": "cat", "clear_marker": 5})
    assert record(reused()).reuse("cat", 9) is not None
    known = record(reused(), delivered)
    assert known.reuse("cat", 5) is not None
    assert known.reuse("cat", 6) is None
    assert not known.may_reuse("cat")
    assert known.may_reuse("dog")


def test_a_refunded_generation_may_be_replaced_by_a_kept_result() -> None:
    failed = {"key": "k", "generation": generation("task_1", "failed", None), "reason": None, "moderated": False}
    known = record(sending("k"), Fact(FactKind.ENDED, "", 2.0, failed))
    assert known.may_reuse("cat")
    assert record(sending("k"), Fact(FactKind.ENDED, "", 2.0, failed), reused(at=3.0)).reuse("cat") is not None
    assert record(sending("k"), reused()).reuse("cat") is None


def test_a_result_that_came_at_once_is_not_forgotten_for_a_failure() -> None:
    at_once = Fact(FactKind.SUBMITTED, "", 1.0, {"key": "k", "generation": generation("task_1", "completed", None)})
    said = {"key": "k", "generation": generation("task_1", "failed", None), "reason": "no", "moderated": False}
    for found in ([at_once, Fact(FactKind.ENDED, "", 2.0, said)], [Fact(FactKind.ENDED, "", 2.0, said), at_once]):
        attempt = fold(found)[""].attempts["k"]
        assert attempt.is_completed
        assert attempt.may_be_charged
