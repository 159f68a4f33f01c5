from __future__ import annotations

import copy
import json
import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_apimart import exceptions as errors

CLASSES = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ApimartError)
]
NEVER_AGAIN = {
    errors.ApimartConfigurationError,
    errors.ApimartArgumentError,
    errors.ApimartInvalidRequestError,
    errors.ApimartAuthenticationError,
    errors.ApimartPermissionError,
    errors.ApimartBalanceError,
    errors.ApimartCostLimitError,
    errors.ApimartModerationError,
    errors.ApimartGenerationNotFoundError,
    errors.ApimartIdempotencyKeyReusedError,
    errors.ApimartIndeterminateOutcomeError,
    errors.ApimartWatchedGenerationFailedError,
    errors.ApimartBatchRefusedError,
    errors.ApimartResultExpiredError,
    errors.ApimartResultRefusedError,
    errors.ApimartInlineResultError,
    errors.ApimartRecordError,
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_permanent_error_is_not_retried_by_airflow(kind: type[errors.ApimartError]) -> None:
    assert issubclass(kind, AirflowException)
    assert issubclass(kind, AirflowFailException) is (kind in NEVER_AGAIN)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_json_pickle_and_copy(kind: type[errors.ApimartError]) -> None:
    error = kind("why", status=500, code="c", request_id="r", generation_id="g", retry_after=1.5)
    for again in (
        errors.error_from_json(json.loads(json.dumps(error.to_json()))),
        pickle.loads(pickle.dumps(error)),
        copy.copy(error),
    ):
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert str(again) == str(error) == "why (HTTP status 500, code c, request id r, generation g)"


@pytest.mark.parametrize("name", ["ApimartNewError", "ValueError", "Any", None, 5, "AirflowException"])
def test_an_unknown_class_becomes_the_plain_one(name: object) -> None:
    error = errors.error_from_json({"type": name, "message": "why", "status": 500})
    assert (type(error), error.status) == (errors.ApimartError, 500)


def test_an_unknown_fact_is_left_out() -> None:
    assert errors.error_from_json({"type": "ApimartError", "message": "why", "new_fact": 1}).message == "why"


def test_the_reason_comes_first_and_the_advice_on_a_line_of_its_own() -> None:
    error = errors.ApimartGenerationFailedError("Out of paint", advice="Try again", generation_id="task_1")
    assert str(error) == "Out of paint (generation task_1)\nTry again."
    assert str(errors.error_from_json(error.to_json())) == str(error)


RESENT = {
    errors.ApimartTransientError,
    errors.ApimartConnectionError,
    errors.ApimartRateLimitError,
    errors.ApimartServerError,
    errors.ApimartUnknownOutcomeError,
    errors.ApimartSubmitInProgressError,
    errors.ApimartGenerationNotFoundError,
}
STOPS_BATCH = {
    errors.ApimartLibraryError,
    errors.ApimartBalanceError,
    errors.ApimartAuthenticationError,
    errors.ApimartConfigurationError,
    errors.ApimartDestinationError,
    errors.ApimartRecordError,
    errors.ApimartSupersededError,
}
REFUSED = {
    errors.ApimartArgumentError,
    errors.ApimartInvalidRequestError,
    errors.ApimartPermissionError,
    errors.ApimartBalanceError,
    errors.ApimartAuthenticationError,
}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_states_what_the_provider_does_about_it(kind: type[errors.ApimartError]) -> None:
    assert kind.is_resent is (kind in RESENT)
    assert kind.stops_batch is (kind in STOPS_BATCH)
    assert kind.resend_may_charge is (
        kind
        in {
            errors.ApimartUnknownOutcomeError,
            errors.ApimartIndeterminateOutcomeError,
            errors.ApimartIdempotencyKeyReusedError,
        }
    )
    failed, moderated = errors.ApimartGenerationFailedError, errors.ApimartModerationError
    said = {"failed": issubclass(kind, failed), "refused": kind in REFUSED, "moderated": issubclass(kind, moderated)}
    assert kind.outcome == next((outcome for outcome, holds in said.items() if holds), None)


def test_a_note_does_no_harm() -> None:
    error = errors.ApimartError("why")
    error.add_note("seen in the trigger")
    assert errors.error_from_json(error.to_json()).message == "why"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            "No quota (request id: 20261126-x1)",
            "No quota (request id: 20261126-x1) (HTTP status 403, generation task_1)",
        ),
        ("Generation task_1 failed", "Generation task_1 failed (HTTP status 403, request id 20261126-x1)"),
        ("No quota", "No quota (HTTP status 403, request id 20261126-x1, generation task_1)"),
    ],
)
def test_an_id_is_shown_once(message: str, shown: str) -> None:
    error = errors.ApimartError(message, status=403, request_id="20261126-x1", generation_id="task_1")
    assert str(error) == shown
