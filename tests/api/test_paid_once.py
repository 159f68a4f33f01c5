from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.durable.identity import PaidRequest, TaskIdentity
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.store import RecordStore

from .driver import Held, error_reply, reply, run_flow
from .shapes import RECORDED_SUBMIT, TASK_ID


class Kept:
    """A store that is a dictionary."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value


def obtained(kept: Kept, *answers: Any) -> Held:
    paid = PaidOnce(
        task=TaskIdentity("d", "r", "t", -1, 0),
        request=PaidRequest("c", Modality.IMAGE, {"model": "m", "prompt": "p"}),
        store=RecordStore(kept),
        key_scope="s",
        submit_policy=RetryPolicy(tries=1),
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
        return len(self.values)


def test_a_store_that_is_empty_is_a_store() -> None:
    kept = KeptAndCounted()
    obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    assert len(kept) == 1
