"""
Exceptions of the APIMart provider.

Every class derives from :class:`ApimartError`. An error that a retry of the task cannot fix is also an
:class:`~airflow.exceptions.AirflowFailException`, so Airflow skips the remaining retries. An error that is expected to
pass without a change is an :class:`ApimartTransientError`. A ``retry_policy`` (Airflow 3.3) can match on any class.

What the provider itself does about a kind of error is stated once, as class attributes:
:attr:`ApimartError.is_resent`, :attr:`~ApimartError.resend_may_charge`, :attr:`~ApimartError.stops_batch` and
:attr:`~ApimartError.outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

_FACTS = ("advice", "status", "code", "request_id", "generation_id", "retry_after")


class ApimartError(AirflowException):
    """
    Base of all errors of this provider.

    :param message: The reason, in a sentence or two without the final period.
    :param advice: What to do next. It is on a line of its own, so that the reason comes first in every log.
    :param status: HTTP status of the reply, if there was one.
    :param code: APIMart's error code, if the reply named one.
    :param request_id: APIMart's id of the request, for its support.
    :param generation_id: Id of the generation concerned. It keeps running, and is charged, whatever the task's state.
    :param retry_after: Seconds after which APIMart asked to be called again.
    """

    #: Whether the provider sends the same request again, within the bounds of ``RetryPolicy``.
    is_resent: ClassVar[bool] = False
    #: Whether sending the same request again is charged a second time by a service that ignores the idempotency key.
    resend_may_charge: ClassVar[bool] = False
    #: Whether every further item of a batch would fail the same way, so the batch submits nothing more.
    stops_batch: ClassVar[bool] = False
    #: What the metrics count the generation as; ``None`` where the error says nothing about its outcome. A refusal says
    #: nothing about a generation that exists, since another request was refused then.
    outcome: ClassVar[Literal["failed", "refused", "moderated"] | None] = None

    def __init__(
        self,
        message: str,
        *,
        advice: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        generation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.status = status
        self.code = code
        self.request_id = request_id
        self.generation_id = generation_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the summary and, on a line of its own, the advice."""
        return f"{self.summary}\n{self.advice}." if self.advice else self.summary

    @property
    def summary(self) -> str:
        """The message with the ids that support asks for, on one line. An id that the message has is not repeated."""
        ids = {"request id": self.request_id, "generation": self.generation_id}
        facts = {
            "HTTP status": self.status,
            "code": self.code,
            **{name: each for name, each in ids.items() if each and each not in self.message},
        }
        known = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.message} ({known})" if known else self.message

    def to_json(self) -> dict[str, Any]:
        """Return this error as plain JSON, for a trigger's event."""
        return {"type": type(self).__name__, "message": self.message} | {name: getattr(self, name) for name in _FACTS}


class ApimartConfigurationError(ApimartError, AirflowFailException):
    """The connection cannot be used as configured. Fix the connection."""

    stops_batch = True


class ApimartInvalidRequestError(ApimartError, AirflowFailException):
    """
    The request is invalid, or APIMart refused it. Nothing was charged; check the input.

    :param reason: Why, as a clause without the words around it, for messages that list several. Default: the message.
    """

    outcome = "refused"

    def __init__(self, message: str, *, reason: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.reason = reason or message
        #: The reason as a predicate whose subject is the request, such as "has no model", if it is one.
        self.predicate: str | None = None


class ApimartArgumentError(ApimartInvalidRequestError, ValueError):
    """
    An argument of an operator is invalid. Nothing was sent.

    It is a :class:`ValueError` where the DAG is parsed, and not retried where the argument is a template.
    """


class ApimartAuthenticationError(ApimartError, AirflowFailException):
    """APIMart rejected the API key. Nothing was charged; check the connection's password."""

    stops_batch = True
    outcome = "refused"


class ApimartPermissionError(ApimartError, AirflowFailException):
    """The API key is not permitted to do this, for example to use this model. Nothing was charged."""

    outcome = "refused"


class ApimartBalanceError(ApimartError, AirflowFailException):
    """The balance is insufficient. Nothing was charged; top up the balance."""

    stops_batch = True
    outcome = "refused"


class ApimartCostLimitError(ApimartError, AirflowFailException):
    """The request may cost more than ``max_cost`` allows, or nobody can say what it costs. Nothing was sent."""


class ApimartModerationError(ApimartError, AirflowFailException):
    """Moderation refused the prompt, a reference or the result. A retry cannot succeed."""

    outcome = "moderated"


class ApimartGenerationNotFoundError(ApimartError, AirflowFailException):
    """
    APIMart does not know this generation, or no longer: records are kept for a few days.

    The provider reads the status a few times more, and for the first two minutes after the submit: APIMart may answer
    so while a generation is new.
    """

    is_resent = True


class ApimartTransientError(ApimartError):
    """Nothing was charged, and the same call may succeed later."""

    is_resent = True


class ApimartConnectionError(ApimartTransientError):
    """No connection was established (refused, unknown host, TLS); the request was not sent."""


class ApimartRateLimitError(ApimartTransientError):
    """APIMart's rate limit was reached. ``retry_after`` holds the seconds to wait, if APIMart named them."""


class ApimartServerError(ApimartTransientError):
    """APIMart or a gateway failed, or its reply cannot be read."""


class ApimartUnknownOutcomeError(ApimartError):
    """
    A generation was submitted, and it is unknown whether it runs.

    Only the identical request with the same idempotency key may follow; a retry of the task sends exactly that.
    """

    is_resent = True
    resend_may_charge = True


class ApimartSubmitInProgressError(ApimartUnknownOutcomeError):
    """The identical submit is still being processed, so APIMart reads the key: a repetition cannot be charged twice."""

    resend_may_charge = False


class ApimartIndeterminateOutcomeError(ApimartUnknownOutcomeError, AirflowFailException):
    """The outcome of a submit stays unknown, and repeating it is not safe: a person has to check and decide."""

    is_resent = False


class ApimartRecordError(ApimartError, AirflowFailException):
    """The record of what was paid is damaged or of a newer version. Nothing was submitted; a person has to decide."""

    stops_batch = True


class ApimartSupersededError(ApimartError):
    """A newer try of the same task has begun. This one submits nothing more."""

    stops_batch = True


class ApimartIdempotencyKeyReusedError(ApimartIndeterminateOutcomeError):
    """The idempotency key was accepted before with another request, which may run and be charged."""


class ApimartGenerationFailedError(ApimartError):
    """The generation failed at APIMart, which refunds it. A retry of its operator submits a new one."""

    outcome = "failed"


class ApimartWatchedGenerationFailedError(ApimartGenerationFailedError, AirflowFailException):
    """The generation given to a sensor or transfer failed. A retry would find the same."""


class ApimartEmptyResultError(ApimartError):
    """The generation is completed, but no output could be read. A retry reads its status again at no cost."""


class ApimartInlineResultError(ApimartError, AirflowFailException):
    """A result came inside APIMart's reply instead of at a URL, and couldn't be given one. Save it to a destination."""


class ApimartStatusUnreadableError(ApimartError):
    """
    The status could not be read several times in a row.

    The generation keeps running and is charged; a retry of the task resumes waiting for it.
    """


class ApimartWaitTimeoutError(ApimartError):
    """
    The timeout expired before the generation was finished.

    The generation keeps running and is charged; a retry of the task resumes waiting for it.
    """


class ApimartBatchIncompleteError(ApimartError):
    """More items of a batch are missing than allowed. A retry continues with those, and repeats none that is done."""


class ApimartBatchRefusedError(ApimartBatchIncompleteError, AirflowFailException):
    """The missing items of a batch were refused, or are beyond its ``max_cost``. A retry cannot succeed."""


class ApimartDestinationError(ApimartError):
    """A result could not be written to its destination. Saving it again costs nothing while its URL is valid."""

    stops_batch = True


class ApimartLibraryError(ApimartError):
    """The library of results can't be read, and ``max_cost`` was planned with what it holds. Nothing was submitted."""

    stops_batch = True


class ApimartDownloadError(ApimartError):
    """A result could not be downloaded from its temporary URL. A retry downloads it again."""


class ApimartResultRefusedError(ApimartDownloadError, AirflowFailException):
    """A result may not be downloaded: it exceeds a size limit, or its address is not public."""


class ApimartResultExpiredError(ApimartError, AirflowFailException):
    """The temporary URL of a result has expired, and APIMart has no other."""


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
