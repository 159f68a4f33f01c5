"""Status of an item after an error."""

from __future__ import annotations

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.durable.item_status import status_after


@pytest.mark.parametrize(
    ("error", "is_known", "status"),
    [
        (errors.ApimartGenerationFailedError("x"), True, "failed"),
        (errors.ApimartModerationError("x"), False, "moderated"),
        (errors.ApimartUnknownOutcomeError("x"), False, "unknown"),
        (errors.ApimartIndeterminateOutcomeError("x"), False, "unknown"),
        (errors.ApimartInvalidRequestError("x"), False, "refused"),
        (errors.ApimartGenerationNotFoundError("x"), True, "unknown"),
        (errors.ApimartWaitTimeoutError("x"), True, "running"),
        (errors.ApimartAuthenticationError("x"), True, "running"),
        (errors.ApimartAuthenticationError("x"), False, "not_submitted"),
        (errors.ApimartBalanceError("x"), False, "not_submitted"),
        (errors.ApimartCostLimitError("x"), False, "not_submitted"),
        (errors.ApimartDestinationError("x"), False, "not_submitted"),
        (errors.ApimartLibraryError("x"), False, "not_submitted"),
        (errors.ApimartRateLimitError("x"), False, "not_submitted"),
    ],
)
def test_what_an_error_says_of_a_generation(error: errors.ApimartError, is_known: bool, status: str) -> None:
    assert status_after(error, is_known=is_known) == status
