from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import StateStoreRecord
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from tests.durable.stores import StateStore

from .driver import Held, error_reply, reply, run_flow
from .shapes import RECORDED_PENDING, RECORDED_SUBMIT, TASK_ID


class Kept(StateStore):
    """The state store of one task instance, and the number of its next try."""

    tries = 0


def obtained(kept: Kept, *answers: Any) -> Held:
    kept.tries += 1
    paid = PaidOnce(
        task=TaskIdentity("d", "r", "t", -1, 0),
        request=PaidRequest("c", Modality.IMAGE, {"model": "m", "prompt": "p"}),
        record=StateStoreRecord(kept, kept.tries),
        key_scope="s",
        submit_policy=RetryPolicy(max_requests=1),
    )
    return run_flow(paid.obtain(), answers)


def test_a_lost_answer_is_repeated_with_the_same_key_by_the_next_try() -> None:
    kept = Kept()
    lost = obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    again = obtained(kept, reply(RECORDED_SUBMIT))
    assert isinstance(lost.error, errors.ApimartUnknownOutcomeError)
    assert again.value.generation_id == TASK_ID
    assert lost.requests[0].headers == again.requests[0].headers
    assert lost.bodies == again.bodies


def test_a_repetition_refused_in_the_next_try_stays_unknown() -> None:
    kept = Kept()
    obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    refused = obtained(kept, error_reply(402, "insufficient balance"))
    again = obtained(kept, reply(RECORDED_SUBMIT))
    assert type(refused.error) is errors.ApimartUnknownOutcomeError
    assert refused.requests[0].headers == again.requests[0].headers


FAILED = reply({"data": {"object": "generation.result", "status": "failed", "error": {"message": "no"}}})


def test_a_result_that_failed_at_once_is_one_failed_generation() -> None:
    held = obtained(Kept(), FAILED)
    assert type(held.error) is errors.ApimartGenerationFailedError
    assert len(held.requests) == 1


def test_after_a_result_that_failed_at_once_the_next_try_makes_a_new_one() -> None:
    kept = Kept()
    failed, again = obtained(kept, FAILED), obtained(kept, reply(RECORDED_SUBMIT))
    assert again.value.generation_id == TASK_ID
    assert failed.requests[0].headers != again.requests[0].headers


def test_a_result_that_failed_at_once_without_an_id_names_none() -> None:
    error = obtained(Kept(), FAILED).error
    assert isinstance(error, errors.ApimartGenerationFailedError)
    assert error.generation_id is None


@pytest.mark.parametrize("replayed", ["true", "false"])
def test_a_repetition_answered_by_a_result_that_failed_is_a_failed_generation(replayed: str) -> None:
    kept = Kept()
    obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    held = obtained(kept, replace(FAILED, headers={"idempotency-replayed": replayed}))
    assert isinstance(held.error, errors.ApimartGenerationFailedError)


class KeptAndCounted(Kept):
    """A store that counts as false while it is empty."""

    def __len__(self) -> int:
        return len(self.rows)


def test_a_store_that_is_empty_is_a_store() -> None:
    kept = KeptAndCounted()
    obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    assert set(kept.rows) == {"apimart_submission.1", "apimart_submission.fence"}


def test_all_generations_that_one_submit_made_are_recorded(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    both = reply({"code": 200, "data": [{"task_id": "task_1"}, {"task_id": "task_2"}]})
    assert obtained(kept, both).value.generation_id == "task_1"
    (attempt,) = StateStoreRecord(kept, 1).read().attempts.values()
    assert (attempt.generation_id, sorted(attempt.submitted)) == ("task_1", ["task_1", "task_2"])
    assert "APIMart made 2 generations for one submit" in caplog.text


def test_a_post_is_not_sent_once_a_newer_try_has_noted_something() -> None:
    kept = Kept()
    newer = StateStoreRecord(kept, 2)
    newer.note(FactKind.STOPPED, key="k", clear_marker=0)
    held = obtained(kept, reply(RECORDED_SUBMIT))
    assert isinstance(held.error, errors.ApimartSupersededError)
    assert held.requests == []


def test_a_record_of_a_newer_version_is_refused_by_name() -> None:
    kept = Kept()
    kept.set("apimart_submission.1", {"version": 3, "facts": []})
    with pytest.raises(errors.ApimartRecordError, match="it has version 3, and this version of the provider reads 2"):
        StateStoreRecord(kept, 1).read()


OLD = {
    "state": "submitted",
    "fingerprint": PaidRequest("c", Modality.IMAGE, {"model": "m", "prompt": "p"}).fingerprint,
    "clear_marker": 0,
    "attempt": 1,
    "idempotency_key": "airflow-old",
    "key_scope": "s",
    "recorded_at": 1.0,
    "generation": {"generation_id": TASK_ID},
    "uploads": {},
}


def test_a_record_of_version_1_is_taken_up() -> None:
    kept = Kept()
    kept.set("apimart_submission", OLD)
    held = obtained(kept, reply(RECORDED_PENDING))
    assert held.value.generation_id == TASK_ID
    assert [request.method for request in held.requests] == ["GET"]


@pytest.mark.parametrize("name", sorted(OLD))
def test_a_record_of_version_1_with_a_field_of_another_type_is_refused_by_its_name(name: str) -> None:
    kept = Kept()
    kept.set("apimart_submission", {**OLD, name: [1]})
    with pytest.raises(errors.ApimartRecordError, match=name):
        StateStoreRecord(kept, 1).read()
