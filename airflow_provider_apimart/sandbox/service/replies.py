"""HTTP replies as data, and all documented errors by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An HTTP reply to be sent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> Reply:
        """Return this reply with more headers; underscores become hyphens."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **added})


def json_reply(body: object, status: int = 200) -> Reply:
    """Return a reply with compact JSON."""
    return Reply(status, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode())


def _error(status: int, message: str, type_: str, *, code: object = None) -> Reply:
    code_first = {} if code is None else {"code": code}
    return json_reply({"error": {**code_first, "message": message, "type": type_}}, status)


def _gateway_error(status: int, message: str, type_: str) -> Reply:
    return json_reply({"error": {"code": "", "message": message, "param": "", "type": type_}}, status)


INVALID = "invalid_request_error"

ERRORS: Mapping[str, Reply] = MappingProxyType(
    {
        "unauthorized": _gateway_error(401, "invalid API key", "apimart_error"),
        "prompt_required": _error(400, "prompt is required", INVALID, code=400),
        "model_required": _error(400, "model is required", INVALID, code=400),
        "invalid_request": _error(400, "invalid request", INVALID, code=400),
        "invalid_idempotency_key": _error(
            400, "Idempotency-Key must be 1 to 191 visible ASCII characters", INVALID, code="invalid_idempotency_key"
        ),
        "get_channel_failed": _error(
            400, "no channel is available for this model, try again later", "apimart_error", code="get_channel_failed"
        ),
        "nsfw_content_detected": _error(
            400, "the prompt was refused by moderation", INVALID, code="nsfw_content_detected"
        ),
        "insufficient_balance": _error(402, "insufficient balance", "payment_required", code=402),
        "quota_not_enough": _error(403, "quota is not enough", "apimart_error", code="quota_not_enough"),
        "forbidden": _error(403, "no permission for this model", "permission_error", code=403),
        "model_not_found": _error(404, "model not found", INVALID, code=404),
        "task_not_found": _error(404, "task not found", INVALID, code=404),
        "music_task_not_found": _error(404, "task not found", INVALID, code="task_not_found"),
        "invalid_task_id": _error(400, "invalid task id", INVALID, code=400),
        "not_found": _gateway_error(404, "Invalid URL", INVALID),
        "request_timeout": _error(408, "request timed out", "server_error", code=408),
        "idempotency_in_progress": _error(
            409, "a request with this Idempotency-Key is in progress", INVALID, code="idempotency_in_progress"
        ),
        "idempotency_key_reused": _error(
            409, "this Idempotency-Key came with a different body", INVALID, code="idempotency_key_reused"
        ),
        "idempotency_result_indeterminate": _error(
            409,
            "the outcome of the first request is unknown",
            "server_error",
            code="idempotency_result_indeterminate",
        ),
        "file_missing": _error(400, "missing or invalid file field: http: no such file", INVALID),
        "unsupported_image": _error(
            400, "unsupported image type: application/pdf, allowed: jpeg, png, gif, webp", INVALID
        ),
        "too_large": _error(413, "file size 25165824 exceeds maximum 20971520 bytes", INVALID),
        "unprocessable": _error(422, "sensitive content detected", INVALID, code=422),
        "rate_limited": _error(429, "Rate limit exceeded. Please try again later", "rate_limit_error", code=429),
        "build_request_failed": _error(
            500, "build_request_failed: invalid size: 1024x1024, allowed: 1:1 / 16:9", "server_error", code=500
        ),
        "moderation_failed": _error(
            500,
            "build_request_failed: content moderation failed: sensitive content detected",
            "server_error",
            code=500,
        ),
        "upload_failed": _error(500, "failed to upload image", "server_error"),
        "server_error": _error(500, "internal server error", "server_error", code=500),
        "bad_gateway": _error(502, "bad gateway", "server_error", code=502),
        "unavailable": _error(503, "service unavailable", "server_error", code=503),
        "gateway_timeout": _error(504, "gateway timeout", "server_error", code=504),
        "idempotency_unavailable": _error(
            503, "idempotency is unavailable, try again", "server_error", code="idempotency_unavailable"
        ),
        "html_error": Reply(
            502,
            b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
            b"</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
            "text/html",
        ),
        "error_in_200": _error(200, "upstream error", "server_error", code="upstream_error"),
        "success_false": json_reply({"success": False, "message": "failed to query the balance"}),
    }
)

WITH_RETRY_AFTER = frozenset({"rate_limited", "idempotency_in_progress", "idempotency_unavailable", "unavailable"})


class RefusedError(Exception):
    """A request is refused; carries the reply."""

    def __init__(self, reply: Reply, *, retry_after: float | None = None) -> None:
        super().__init__(reply.status)
        self.reply = reply
        self.retry_after = retry_after


def json_type(value: object) -> str:
    """Return the name of a value's JSON type in messages of the service."""
    if isinstance(value, bool):
        return "bool"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def worded(reply: Reply, message: str | None) -> Reply:
    """Return an error reply with another message; a reply without a JSON body is returned unchanged."""
    if message is None or reply.content_type != "application/json":
        return reply
    body: dict[str, Any] = json.loads(reply.body)
    body.get("error", body)["message"] = message
    return replace(json_reply(body, reply.status), headers=reply.headers)


def refusal(name: str, message: str | None = None, *, retry_after: float | None = None) -> RefusedError:
    """
    Return the exception of a documented error.

    :param name: a key of :data:`ERRORS`
    :param message: message, instead of the recorded one
    :param retry_after: value of ``Retry-After`` in seconds
    """
    return RefusedError(worded(ERRORS[name], message), retry_after=retry_after)
