"""Idempotency keys: the same request again gets the same reply and makes nothing new."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_apimart.sandbox.replies import Reply, refusal

_SYNTAX = re.compile(r"[\x21-\x7e]{1,191}")


@dataclass(frozen=True)
class Scope:
    """Where an idempotency key means one thing: under one API key, at one endpoint."""

    api_key: str
    endpoint: str
    idempotency_key: str


@dataclass(frozen=True)
class _Record:
    body: bytes
    reply: Reply
    ready: float
    forgotten: float


def check_key(idempotency_key: str) -> None:
    """Refuse a key that is not 1 to 191 visible ASCII characters."""
    if not _SYNTAX.fullmatch(idempotency_key):
        raise refusal("invalid_idempotency_key")


class IdempotencyRecords:
    """
    Replies by idempotency key; bodies are compared byte by byte.

    Only accepted requests are recorded: a refused one made nothing, so its key stays free.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._records: dict[Scope, _Record] = {}

    def replay(self, scope: Scope, body: bytes) -> Reply | None:
        """Return the first reply if this is the same request again; refuse what contradicts the first."""
        record = self._records.get(scope)
        now = self._now()
        if record is None or now >= record.forgotten:
            return None
        if record.body != body:
            raise refusal("idempotency_key_reused")
        if now < record.ready:
            raise refusal("idempotency_in_progress", retry_after=record.ready - now)
        return record.reply.with_headers(Idempotency_Replayed="true")

    def keep(self, scope: Scope, body: bytes, reply: Reply, *, delay: float, retention: float) -> None:
        """
        Remember the reply to an accepted request.

        :param delay: seconds during which the request still counts as in progress
        :param retention: seconds after which the key is forgotten
        """
        now = self._now()
        self._records[scope] = _Record(body, reply, now + delay, now + retention)
