"""Idempotency keys: a repeated request gets the first reply and creates nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_apimart.sandbox.service.replies import Reply, refusal

_SYNTAX = re.compile(r"[\x21-\x7e]{1,191}")


@dataclass(frozen=True)
class Scope:
    """Scope of an idempotency key: one API key and one endpoint."""

    api_key: str
    endpoint: str
    idempotency_key: str


@dataclass(frozen=True)
class IdempotencyRecord:
    """
    An accepted request and its reply.

    :param ready: time at which the reply is available
    :param expires: time at which the key expires
    """

    body: bytes
    reply: Reply
    ready: float
    expires: float


def check_key(idempotency_key: str) -> None:
    """Refuse a key that is not 1 to 191 visible ASCII characters."""
    if not _SYNTAX.fullmatch(idempotency_key):
        raise refusal("invalid_idempotency_key")


class IdempotencyRecords:
    """
    Replies by idempotency key; bodies are compared byte by byte.

    Only accepted requests are recorded: the key of a refused one stays free.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.records: dict[Scope, IdempotencyRecord] = {}

    def replay(self, scope: Scope, body: bytes) -> Reply | None:
        """Return the first reply to the same request, if any; raises :class:`.RefusedError` for another body."""
        record = self.records.get(scope)
        now = self._now()
        if record is None or now >= record.expires:
            return None
        if record.body != body:
            raise refusal("idempotency_key_reused")
        if now < record.ready:
            raise refusal("idempotency_in_progress", retry_after=record.ready - now)
        return record.reply.with_headers(Idempotency_Replayed="true")

    def keep(self, scope: Scope, body: bytes, reply: Reply, *, delay: float, retention: float) -> None:
        """
        Record the reply to an accepted request.

        :param delay: seconds during which the request counts as in progress
        :param retention: seconds after which the key expires
        """
        now = self._now()
        self.records[scope] = IdempotencyRecord(body, reply, now + delay, now + retention)
