"""
Classification of failed replies.

APIMart's own JSON is classified by HTTP status, then by code and type, then by the beginning of its message, since
messages may be in any language. Anything else is the answer of an intermediary: it is retried, and the error names who
answered. A 404 to a status request is classified in ``status_request``, which knows whether another route has
the generation. The same reply has another meaning for another call: after a proxy's 502 the outcome of a
submit is unknown, while a read is only delayed.
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
from airflow_provider_apimart.api.intermediary import answer_of, moved_base_url
from airflow_provider_apimart.api.json_values import mapping, text
from airflow_provider_apimart.api.redaction import Secrets, without_queries
from airflow_provider_apimart.api.retry import retry_after_seconds

_MAX_MESSAGE = 500
_CREDENTIALS = re.compile(r"://[^/\s]*@")
_MODERATION = re.compile(r"nsfw|moderation|sensitive|banned prompt", re.IGNORECASE)
_REFUSED_BEFORE_RUNNING = "build_request_failed"
_CHANNEL_BUSY = "get_channel_failed"
_NO_QUOTA = "quota_not_enough"
# What an envelope's "code" says of a success, or says nothing by.
_SUCCESS = re.compile(r"|[+-]?\d+|ok|success|succeeded", re.IGNORECASE)

_KEY_REUSED = "idempotency_key_reused"
_KEY_IN_PROGRESS = "idempotency_in_progress"
_KEY_INDETERMINATE = "idempotency_result_indeterminate"
_KEYS_UNAVAILABLE = "idempotency_unavailable"

# Only said of submits: the generation whose status is read was charged before.
_NOT_CHARGED = ". Nothing was charged"

_REFUSALS: Mapping[int, tuple[type[errors.ApimartError], str]] = {
    400: (errors.ApimartInvalidRequestError, "APIMart refused the request; check the input"),
    401: (
        errors.ApimartAuthenticationError,
        "APIMart does not accept the API key; check the API key (the connection's password)",
    ),
    402: (errors.ApimartBalanceError, "The balance of the account or of the API key is insufficient; top it up"),
    403: (
        errors.ApimartPermissionError,
        "The API key is not permitted to do this; allow it the model, or this machine's address",
    ),
}

# Inside an HTTP 200, code and type of an error stand for the status that it lacks.
_STATUS_BY_WORD: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(words), status)
    for words, status in (
        (r"server|upstream|internal|timeout|timed_out|overloaded|unavailable|bad_response|do_request|api_error", 500),
        (r"rate_limit|too_many_requests", 429),
        (r"authentication|unauthorized|invalid_api_key|invalid_token", 401),
        (r"payment|quota|balance|billing", 402),
        (r"permission|forbidden|access_denied", 403),
        (r"not_found", 404),
        (r"invalid_request|invalid_param|nsfw|moderation|sensitive", 400),
    )
)


def mentions_moderation(*said: str | None) -> bool:
    """Whether a code or message names a refusal by moderation."""
    return any(_MODERATION.search(words) for words in said if words)


@dataclass(frozen=True)
class ErrorReply:
    """
    A failed reply.

    :param status: HTTP status; for an error inside an HTTP 200, the status that its code or type stands for, else 200.
    :param code: APIMart's error code, ``None`` if it names none.
    :param kind: APIMart's type of error, ``None`` if it names none.
    :param message: APIMart's message, or a description of what an intermediary answered.
    :param retry_after: Seconds after which to call again, as the reply asks.
    :param is_from_apimart: Whether APIMart itself sent the reply. Otherwise an intermediary or somebody unknown did.
    :param moved_to: The base URL that a redirect of the whole API leads to.
    """

    status: int
    code: str | None
    kind: str | None
    message: str
    request_id: str | None
    retry_after: float | None
    is_from_apimart: bool = True
    moved_to: str | None = None

    def says(self, word: str) -> bool:
        """Whether the code is this word, or the message begins with it."""
        return self.is_from_apimart and (self.code == word or self.message.startswith(word))

    @property
    def is_moderation(self) -> bool:
        """Whether moderation refused the request."""
        return mentions_moderation(self.code, self.kind, self.message)

    def error(self, error_class: type[errors.ApimartError], advice: str) -> errors.ApimartError:
        """Return an error with the reply's message as its reason, followed by its meaning and what to do."""
        return error_class(
            f"{self.message.rstrip('. ')}. {advice}",
            status=self.status,
            code=self.code,
            request_id=self.request_id,
            retry_after=self.retry_after,
        )


def find_error_reply(reply: Reply) -> ErrorReply | None:
    """Return the failure that a reply's status or body reports, or ``None`` if it reports none."""
    body = mapping(reply.json)
    failed = reply.status >= HTTPStatus.MULTIPLE_CHOICES or _is_error(body) or not body
    return read_error_reply(reply) if failed else None


def read_error_reply(reply: Reply) -> ErrorReply:
    """Return a failed reply, however little it says."""
    body = mapping(reply.json)
    details = mapping(body.get("error")) or body
    code, kind = details.get("code"), text(details.get("type"))
    code_text = text(code) if isinstance(code, str) else None
    is_from_apimart = _is_error(body)
    return ErrorReply(
        status=_status(reply, code, code_text, kind) if is_from_apimart else reply.status,
        code=code_text and reply.shown(code_text),
        kind=kind,
        message=(is_from_apimart and _message(details, body)) or _shortened(answer_of(reply)),
        request_id=_shown(reply, text(body.get("request_id")) or reply.header(contract.REQUEST_ID_HEADER)),
        retry_after=retry_after_seconds(reply.header(contract.RETRY_AFTER_HEADER)),
        is_from_apimart=is_from_apimart,
        moved_to=moved_base_url(reply),
    )


def _is_error(body: Mapping[str, Any]) -> bool:
    """Whether a body is an error in one of APIMart's forms."""
    details = mapping(body.get("error"))
    says = any(text(details.get(name)) for name in ("message", "code", "type"))
    # Google's gateways have a word for the status in place of a type, Cloudflare a list of errors without a message.
    is_googles = details.get("type") is None and isinstance(details.get("status"), str)
    failed = body.get("success") is False and text(body.get("message")) is not None
    return (says and not is_googles) or failed or _is_error_code(body.get("code"))


def _is_error_code(code: object) -> bool:
    """Whether the ``code`` of an envelope reports a failure: a status of 400 or more, or a word."""
    return _status_of(code) is not None or (isinstance(code, str) and _SUCCESS.fullmatch(code.strip()) is None)


def _status(reply: Reply, code: object, *words: str | None) -> int:
    """Return the HTTP status, or, inside an HTTP 200, the one that the code or type stands for."""
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        return reply.status
    found = (_status_of_word(word.lower()) for word in words if word)
    return _status_of(code) or next(filter(None, found), None) or reply.status


def _status_of(code: object) -> int | None:
    number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
    is_status = isinstance(number, int) and HTTPStatus.BAD_REQUEST <= number < 600
    return number if is_status and isinstance(number, int) else None


def _status_of_word(word: str) -> int | None:
    return next((status for pattern, status in _STATUS_BY_WORD if pattern.search(word)), None)


def _shown(reply: Reply, fact: str | None) -> str | None:
    return fact and reply.shown(fact)


def _message(details: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    said = text(details.get("message")) or text(body.get("message"))
    return said and _shortened(without_queries(said))


def _shortened(said: str) -> str:
    return said if len(said) <= _MAX_MESSAGE else f"{said[:_MAX_MESSAGE]}…"


def submit_error(error_reply: ErrorReply) -> errors.ApimartError:
    """
    Return the error of a failed reply to a submit.

    Its class says whether the generation may run and be charged.
    """
    if error_reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limited(error_reply, _NOT_CHARGED)
    if error_reply.is_from_apimart:
        return _error_from_apimart(error_reply)
    if _is_refusal(error_reply.status):
        return _unanswered(error_reply, _NOT_CHARGED)
    return _unknown_outcome(error_reply)


def _error_from_apimart(error_reply: ErrorReply) -> errors.ApimartError:
    if error_reply.says(_KEY_REUSED):
        return error_reply.error(
            errors.ApimartIdempotencyKeyReusedError,
            "The idempotency key was accepted before with another request, which may run and be charged. Look for it "
            "in APIMart's log",
        )
    if error_reply.says(_KEY_INDETERMINATE):
        return error_reply.error(
            errors.ApimartIndeterminateOutcomeError, "APIMart itself cannot tell whether the generation runs"
        )
    if error_reply.says(_KEY_IN_PROGRESS):
        return error_reply.error(errors.ApimartSubmitInProgressError, "The same generation is still being submitted")
    if error_reply.says(_KEYS_UNAVAILABLE) or error_reply.says(_CHANNEL_BUSY):
        return error_reply.error(
            errors.ApimartServerError, f"APIMart accepts no generations at the moment{_NOT_CHARGED}"
        )
    # Inside an HTTP 200, an error is a refusal unless its code or type names the trouble of a server.
    if error_reply.says(_REFUSED_BEFORE_RUNNING) or _is_refusal(error_reply.status) or error_reply.status < 300:
        return _refusal(error_reply, _NOT_CHARGED)
    return _unknown_outcome(error_reply)


def _unknown_outcome(error_reply: ErrorReply) -> errors.ApimartError:
    return error_reply.error(errors.ApimartUnknownOutcomeError, "The outcome of the submit is unknown")


def _is_refusal(status: int) -> bool:
    # 408 and 409 say nothing about the outcome, and 429 passes.
    return HTTPStatus.MULTIPLE_CHOICES <= status < 500 and status not in (408, 409, 429)


def free_call_error(error_reply: ErrorReply) -> errors.ApimartError:
    """Return the error of a failed reply to a call that costs nothing: a read or an upload."""
    if error_reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _rate_limited(error_reply)
    if not error_reply.is_from_apimart:
        return _unanswered(error_reply)
    passes = not _is_refusal(error_reply.status) and not error_reply.says(_REFUSED_BEFORE_RUNNING)
    if passes or error_reply.says(_CHANNEL_BUSY):
        return error_reply.error(errors.ApimartServerError, "APIMart could not answer")
    return _refusal(error_reply)


def _rate_limited(error_reply: ErrorReply, consequence: str = "") -> errors.ApimartError:
    return error_reply.error(errors.ApimartRateLimitError, f"APIMart asks to be called less often{consequence}")


def _unanswered(error_reply: ErrorReply, consequence: str = "") -> errors.ApimartError:
    """Return the error of an intermediary's reply: the request did not reach APIMart."""
    if error_reply.moved_to:
        advice = f"Redirects are not followed; set the connection's host to {error_reply.moved_to}"
        return error_reply.error(errors.ApimartConfigurationError, advice + consequence)
    advice = "The reply is not APIMart's; check the proxy or gateway in between if this persists"
    return error_reply.error(errors.ApimartServerError, advice + consequence)


def _refusal(error_reply: ErrorReply, consequence: str = "") -> errors.ApimartError:
    if error_reply.is_moderation:
        advice = "Moderation refused the request; change the prompt or the references"
        return error_reply.error(errors.ApimartModerationError, advice + consequence)
    status = HTTPStatus.PAYMENT_REQUIRED if error_reply.says(_NO_QUOTA) else error_reply.status
    kind, advice = _REFUSALS.get(status, _REFUSALS[400])
    return error_reply.error(kind, advice + consequence)


def lost_reply_error(request: Request, base_url: str, *, sent: bool, reason: str) -> errors.ApimartError:
    """
    Return the error of a request without a complete reply.

    :param sent: Whether any of the request's body may have reached APIMart.
    :param reason: The reason, without secrets.
    """
    if not sent:
        return errors.ApimartConnectionError(
            f"{reason}. APIMart couldn't be reached at {base_url}, and nothing was sent; check the connection's host, "
            "proxy and network"
        )
    if request.kind is RequestKind.SUBMIT:
        return errors.ApimartUnknownOutcomeError(f"{reason}. The submit was sent, but no complete reply was received")
    return errors.ApimartServerError(f"{reason}. No complete reply was received")


def root_reason(error: BaseException, secrets: Secrets | None = None) -> str:
    """
    Return the innermost reason of a library's error, whose own text repeats addresses and wrappings.

    :param secrets: The secrets to remove from it.
    """
    while inner := error.__cause__ or error.__context__:
        error = inner
    said = _CREDENTIALS.sub("://", f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    said = without_queries(said)
    return secrets.redact(said) if secrets else said
