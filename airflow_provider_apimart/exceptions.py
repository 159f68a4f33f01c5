"""
What can go wrong with APIMart: one class per thing a user would do differently.

Every class derives from :class:`ApimartError`. Whatever trying again can't mend is an
:class:`~airflow.exceptions.AirflowFailException` too, so that Airflow skips the remaining retries.
Whatever passes by itself is an :class:`ApimartTransientError`. A ``retry_policy`` (Airflow 3.3) can match on
any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

_FACTS = ("status", "code", "request_id", "generation_id", "retry_after")


class ApimartError(AirflowException):
    """
    Something went wrong between this provider and APIMart.

    :param message: What happened, to which generation, and what to do next.
    :param status: HTTP status of the reply, if there was one.
    :param code: The service's own error code, if it named one.
    :param request_id: The service's id of the request, for its support.
    :param generation_id: The generation concerned. It goes on and bills, whatever became of the task.
    :param retry_after: Seconds after which the service asked to be called again.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        generation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.request_id = request_id
        self.generation_id = generation_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the message followed by the facts that its reader will be asked for."""
        facts = {
            "HTTP status": self.status,
            "code": self.code,
            "request id": self.request_id,
            "generation": self.generation_id,
        }
        known = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.message} ({known})" if known else self.message

    def to_json(self) -> dict[str, Any]:
        """Return this error as plain JSON, for a trigger's event."""
        return {"type": type(self).__name__, "message": self.message} | {name: getattr(self, name) for name in _FACTS}


class ApimartConfigurationError(ApimartError, AirflowFailException):
    """The connection can't be used as it is written. Mend the connection."""


class ApimartInvalidRequestError(ApimartError, AirflowFailException):
    """The request can't be right, or APIMart refused it. Nothing was charged; mend the input."""


class ApimartAuthenticationError(ApimartError, AirflowFailException):
    """APIMart doesn't accept the API key. Nothing was charged; mend the connection's password."""


class ApimartPermissionError(ApimartError, AirflowFailException):
    """The API key may not do this, for example use this model. Nothing was charged."""


class ApimartBalanceError(ApimartError, AirflowFailException):
    """The account can't pay for this. Nothing was charged; top up the balance."""


class ApimartModerationError(ApimartError, AirflowFailException):
    """The prompt, a reference or the result was refused by moderation. Trying again can't help."""


class ApimartGenerationNotFoundError(ApimartError, AirflowFailException):
    """APIMart doesn't know this generation, or not any more: records are kept for a few days."""


class ApimartIdempotencyKeyReusedError(ApimartError, AirflowFailException):
    """An idempotency key was sent with two different requests. Nothing was charged for the second one."""


class ApimartTransientError(ApimartError):
    """Nothing was charged, and the same call may well succeed later."""


class ApimartConnectionError(ApimartTransientError):
    """No connection came about (refused, unknown host, TLS): the request was never sent."""


class ApimartRateLimitError(ApimartTransientError):
    """APIMart asks to be called less often. ``retry_after`` says for how long, if it told."""


class ApimartServerError(ApimartTransientError):
    """APIMart or its gateway is in trouble, or its reply can't be read."""


class ApimartUnknownOutcomeError(ApimartError):
    """
    A generation was submitted and no one can say whether it runs.

    Nothing but the identical request with the same idempotency key may follow; a retry of the task sends just that.
    """


class ApimartSubmitInProgressError(ApimartUnknownOutcomeError):
    """The identical submit is still being handled, so APIMart reads the key: repeating it can't be charged twice."""


class ApimartIndeterminateOutcomeError(ApimartUnknownOutcomeError, AirflowFailException):
    """The outcome of a submit stays unknown and repeating it isn't safe: a person has to look and decide."""


class ApimartGenerationFailedError(ApimartError):
    """The generation failed at APIMart, which refunds it. A retry of its operator makes a new one."""


class ApimartWatchedGenerationFailedError(ApimartGenerationFailedError, AirflowFailException):
    """The generation that a sensor or transfer was given has failed: trying again would find the same."""


class ApimartStatusUnreadableError(ApimartError):
    """
    The status couldn't be read several times in a row.

    The generation goes on and bills; a retry of the task takes it up again.
    """


class ApimartWaitTimeoutError(ApimartError):
    """
    The wait ran out before the generation finished.

    The generation goes on and bills; a retry of the task takes it up again.
    """


class ApimartBatchIncompleteError(ApimartError):
    """More items of a batch are missing than it allows. A retry goes on with those, and redoes none that is done."""


class ApimartBatchRefusedError(ApimartBatchIncompleteError, AirflowFailException):
    """The items that a batch lacks were refused, or lie beyond its ``max_cost``: trying again can't help."""


class ApimartDestinationError(ApimartError):
    """A result couldn't be written to its destination. Mend it; saving again costs nothing while the URL lives."""


class ApimartDownloadError(ApimartError):
    """A result couldn't be fetched from its temporary URL. A retry fetches it again."""


class ApimartResultRefusedError(ApimartDownloadError, AirflowFailException):
    """A result may not be fetched: it is larger than a cap allows, or lies at an address that isn't public."""


class ApimartResultExpiredError(ApimartError, AirflowFailException):
    """The temporary URL of a result is over, and APIMart has no other."""


def error_from_json(value: Mapping[str, Any]) -> ApimartError:
    """
    Return the error that :meth:`ApimartError.to_json` described.

    :param value: The description. A class this version doesn't know becomes a plain :class:`ApimartError`.
    """
    facts = {name: value.get(name) for name in _FACTS}
    return _named(value.get("type"))(str(value.get("message", "unknown error")), **facts)


def _named(name: object) -> type[ApimartError]:
    found = globals().get(name) if isinstance(name, str) else None
    return found if isinstance(found, type) and issubclass(found, ApimartError) else ApimartError
