from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.retrying import RetryPolicy
from airflow_provider_apimart.durable.identity import PaidRequest, TaskIdentity
from airflow_provider_apimart.durable.paid_once import PaidOnce
from airflow_provider_apimart.durable.store import RecordStore

from .driver import Held, error_reply, hold, reply
from .shapes import RECORDED_SUBMIT, TASK_ID


class Kept(dict[str, Any]):
    """A store that is a dictionary."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def obtained(kept: Kept, *answers: Any) -> Held:
    paid = PaidOnce(
        task=TaskIdentity("d", "r", "t", -1, 0),
        request=PaidRequest("c", Modality.IMAGE, {"model": "m", "prompt": "p"}),
        store=RecordStore(kept),
        key_scope="s",
        submit_policy=RetryPolicy(tries=1),
    )
    return hold(paid.obtain(), answers)


def test_a_lost_answer_is_repeated_with_the_same_key_by_the_next_try() -> None:
    kept = Kept()
    lost = obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    again = obtained(kept, reply(RECORDED_SUBMIT))
    assert isinstance(lost.error, errors.ApimartUnknownOutcomeError)
    assert again.value.generation_id == TASK_ID
    assert lost.requests[0].headers == again.requests[0].headers
    assert lost.bodies == again.bodies


@pytest.mark.xfail(
    strict=True, reason="across tries a refused repetition is told as 'Nothing was charged' and fails for good"
)
def test_a_repetition_refused_in_the_next_try_stays_unknown() -> None:
    kept = Kept()
    obtained(kept, errors.ApimartUnknownOutcomeError("lost"))
    assert isinstance(obtained(kept, error_reply(402, "insufficient balance")).error, errors.ApimartUnknownOutcomeError)


@pytest.mark.xfail(
    strict=True, reason="a failed generation.result that is no replay is submitted anew, up to 100 times in one try"
)
def test_a_result_that_failed_at_once_is_one_failed_generation() -> None:
    failed = {"data": {"object": "generation.result", "status": "failed", "error": {"message": "no"}}}
    held = obtained(Kept(), reply(failed))
    assert isinstance(held.error, errors.ApimartGenerationFailedError)
    assert len(held.requests) == 1
