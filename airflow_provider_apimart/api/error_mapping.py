"""
What a reply that is no success says, and which error it is.

Replies are classified by HTTP status, then by string code, then by how the message begins, since messages may be
in any language. The same reply means different things to different calls: a gateway's 502 leaves the outcome of a
submit unknown, but only delays a read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.http_messages import Reply, Request, RequestKind
from airflow_provider_apimart.api.json_values import items, mapping, text
from airflow_provider_apimart.api.retry import retry_after_seconds

_MAX_MESSAGE = 500
_CREDENTIALS = re.compile(r"://[^/\s]*@")
_MODERATION = re.compile(r"nsfw|moderation|sensitive|banned prompt", re.IGNORECASE)
_REFUSED_BEFORE_RUNNING = "build_request_failed"
_CHANNEL_BUSY = "get_channel_failed"
_NO_QUOTA = "quota_not_enough"

_KEY_REUSED = "idempotency_key_reused"
_KEY_IN_PROGRESS = "idempotency_in_progress"
_KEY_INDETERMINATE = "idempotency_result_indeterminate"
_KEYS_UNAVAILABLE = "idempotency_unavailable"

# Said of submits only: whoever reads a status has paid already.
_NOT_CHARGED = ". Nothing was charged"

_REFUSALS: Mapping[int, tuple[type[errors.ApimartError], str]] = {
    400: (errors.ApimartInvalidRequestError, "APIMart refused the request; mend the input"),
    401: (errors.ApimartAuthenticationError, "APIMart doesn't accept the API key; mend the connection's password"),
    402: (errors.ApimartBalanceError, "The account or the API key has no balance left; top it up"),
    403: (
        errors.ApimartPermissionError,
        "The API key may not do this; allow it the model, or this machine's address",
    ),
}


def mentions_moderation(*said: str | None) -> bool:
    """Whether a code or message tells of a refusal by moderation."""
    return any(_MODERATION.search(words) for words in said if words)


@dataclass(frozen=True)
class ErrorReply:
    """
    What a failed reply says.

    :param status: The HTTP status; for an error inside an HTTP 200, the status that its code names, or 200.
    :param code: The service's own code, ``None`` if it names none.
    :param kind: The service's own type of error, ``None`` if it names none.
    :param message: The service's message, or the beginning of what came instead.
    :param retry_after: Seconds after which the service asked to be called again.
    """

    status: int
    code: str | None
    kind: str | None
    message: str
    request_id: str | None
    retry_after: float | None

    def says(self, word: str) -> bool:
        """Whether the code is this word, or the message begins with it."""
        return self.code == word or self.message.startswith(word)

    @property
    def is_moderation(self) -> bool:
        """Whether moderation refused the request."""
        return mentions_moderation(self.code, self.kind, self.message)

    def error(self, error_class: type[errors.ApimartError], what: str) -> errors.ApimartError:
        """Return an error of a kind that says what happened and repeats the service's own words."""
        return error_class(
            f"{what}: {self.message}",
            status=self.status,
            code=self.code,
            request_id=self.request_id,
            retry_after=self.retry_after,
        )


def find_error_reply(reply: Reply) -> ErrorReply | None:
    """Return what is wrong with a reply by its status or by an error it holds, or ``None`` if nothing is."""
    body = mapping(reply.json)
    said = body.get("error")
    in_success = said or body.get("success") is False or _error_status(body.get("code")) is not None
    return read_error_reply(reply) if reply.status >= HTTPStatus.MULTIPLE_CHOICES or in_success else None


def read_error_reply(reply: Reply) -> ErrorReply:
    """Return what a reply says of its failure, however little that is."""
    body = mapping(reply.json)
    said = body.get("error")
    details = said if isinstance(said, Mapping) else {"message": said, "code": body.get("code")}
    code = details.get("code")
    status = reply.status if reply.status >= HTTPStatus.MULTIPLE_CHOICES else _error_status(code)
    return ErrorReply(
        status=status or reply.status,
        code=text(code) if isinstance(code, str) else None,
        kind=text(details.get("type")),
        message=_message(details, body, reply),
        request_id=text(body.get("request_id")) or reply.header(contract.REQUEST_ID_HEADER),
        retry_after=retry_after_seconds(reply.header(contract.RETRY_AFTER_HEADER)),
    )


def _error_status(code: object) -> int | None:
    number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
    is_status = isinstance(number, int) and HTTPStatus.BAD_REQUEST <= number < 600
    return number if is_status and isinstance(number, int) else None


def _message(details: Mapping[str, Any], body: Mapping[str, Any], reply: Reply) -> str:
    said = text(details.get("message")) or text(body.get("message")) or _beginning(reply)
    return said if len(said) <= _MAX_MESSAGE else f"{said[:_MAX_MESSAGE]}…"


def _beginning(reply: Reply) -> str:
    words = re.sub(r"<[^>]*>", " ", reply.body[:4096].decode("utf-8", "replace"))
    shown = " ".join(items(words.split()))[:120]
    return f"the reply holds no message but begins with {shown!r}" if shown else "the reply is empty"


def submit_error(error_reply: ErrorReply) -> errors.ApimartError:
    """Return the error that a failed reply to a submit is: whether it may have run decides."""
    if error_reply.says(_KEY_REUSED):
        return error_reply.error(
            errors.ApimartIdempotencyKeyReusedError,
            "The idempotency key was used for another request before. Nothing was charged; please report this",
        )
    if error_reply.says(_KEY_INDETERMINATE):
        return error_reply.error(
            errors.ApimartIndeterminateOutcomeError, "APIMart itself can't tell whether the generation runs"
        )
    if error_reply.says(_KEYS_UNAVAILABLE) or error_reply.says(_CHANNEL_BUSY):
        return error_reply.error(errors.ApimartServerError, "APIMart took no generations for the moment")
    if error_reply.says(_REFUSED_BEFORE_RUNNING) or _is_refusal(error_reply.status):
        return _refusal(error_reply, _NOT_CHARGED)
    return _unfinished_submit(error_reply)


def _is_refusal(status: int) -> bool:
    # 408 and 409 tell nothing of the outcome, and 429 passes.
    return HTTPStatus.MULTIPLE_CHOICES <= status < 500 and status not in (408, 409, 429)


def _unfinished_submit(error_reply: ErrorReply) -> errors.ApimartError:
    if error_reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limited(error_reply, _NOT_CHARGED)
    if error_reply.says(_KEY_IN_PROGRESS):
        return error_reply.error(errors.ApimartSubmitInProgressError, "The same generation is still being submitted")
    return error_reply.error(
        errors.ApimartUnknownOutcomeError, "The submit was answered in a way that leaves its outcome unknown"
    )


def read_error(error_reply: ErrorReply) -> errors.ApimartError:
    """Return the error that a failed reply to a call is that never costs anything: reads and uploads."""
    if error_reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limited(error_reply)
    passes = not _is_refusal(error_reply.status)
    if (passes and not error_reply.says(_REFUSED_BEFORE_RUNNING)) or error_reply.says(_CHANNEL_BUSY):
        return error_reply.error(errors.ApimartServerError, "APIMart couldn't answer")
    return _refusal(error_reply)


def _rate_limited(error_reply: ErrorReply, consequence: str = "") -> errors.ApimartError:
    return error_reply.error(errors.ApimartRateLimitError, f"APIMart asks to be called less often{consequence}")


def _refusal(error_reply: ErrorReply, consequence: str = "") -> errors.ApimartError:
    if error_reply.is_moderation:
        what = "Moderation refused the request; change the prompt or the references"
        return error_reply.error(errors.ApimartModerationError, what + consequence)
    if error_reply.status < HTTPStatus.BAD_REQUEST:
        what = "The host answered with a redirect, which is not followed; set the connection's host to its target"
        return error_reply.error(errors.ApimartConfigurationError, what + consequence)
    status = HTTPStatus.PAYMENT_REQUIRED if error_reply.says(_NO_QUOTA) else error_reply.status
    kind, what = _REFUSALS.get(status, _REFUSALS[400])
    return error_reply.error(kind, what + consequence)


def lost_reply_error(request: Request, base_url: str, *, sent: bool, reason: str) -> errors.ApimartError:
    """
    Return the error that a request without a whole reply is.

    :param sent: Whether any of the request's body may have reached the service.
    :param reason: What went wrong, without secrets.
    """
    if not sent:
        return errors.ApimartConnectionError(
            f"APIMart couldn't be reached at {base_url}, and nothing was sent; check the connection's host, proxy and "
            f"network: {reason}"
        )
    if request.kind is RequestKind.SUBMIT:
        return errors.ApimartUnknownOutcomeError(f"The submit was sent, but no whole reply came back: {reason}")
    return errors.ApimartServerError(f"No whole reply came back: {reason}")


def root_reason(error: BaseException) -> str:
    """Return the innermost reason of a library's error, whose own text repeats addresses and wrappings."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return _CREDENTIALS.sub("://", f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
