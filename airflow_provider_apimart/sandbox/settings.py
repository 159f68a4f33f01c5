"""What can be set about a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_apimart.sandbox.dialects import ERROR_FORMS, dialect

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class ApiKey:
    """
    One API key and what it may do.

    :param key: the secret itself
    :param balance: US dollars left at the start; ``None`` means unlimited
    :param models: the models it may use; ``None`` means all
    """

    key: str
    balance: Decimal | None = Decimal(100)
    models: tuple[str, ...] | None = None


OTHER_KEYS = (
    ApiKey("sk-sandbox-empty", balance=Decimal(0)),
    ApiKey("sk-sandbox-restricted", models=("gemini-2.5-flash-image-preview",)),
    ApiKey("sk-sandbox-unlimited", balance=None),
)

FIXED = frozenset({"host", "port", "files_url", "kept_requests", "api_key", "other_keys"})


@dataclass(frozen=True)
class SandboxSettings:
    """
    Everything about a sandbox that can be chosen; all but :data:`.FIXED` also while it runs.

    :param host: address to listen on
    :param port: port to listen on; 0 takes a free one
    :param files_url: base of the public file URLs; ``None`` means the sandbox's own
    :param kept_requests: how many requests are remembered in full; counters are never cut
    :param api_key: the key that works
    :param balance: US dollars on that key
    :param other_keys: further keys: one without balance, one allowed a single model, one unlimited
    :param seconds: mean time an image takes
    :param video_multiple: how many times longer a video takes
    :param jitter: how far run times stray from the mean, as a share of it; 0 makes them all alike
    :param seed: where run times and random faults start from; the same seed gives the same run
    :param submit_delay: seconds between accepting a job and answering; its idempotency key is in progress meanwhile
    :param rate_limit: API calls a second, all together; ``None`` means unlimited
    :param submit_rate_limit: submits a second, counted besides ``rate_limit``
    :param retry_after: the form of ``Retry-After``: ``"seconds"``, ``"date"`` or ``"none"``
    :param dialect: the shapes replies come in: a name from :data:`.dialects.DIALECTS`, or ``"S2+T8"``, optionally
        with ``@generations`` (or ``@both``) for the older polling route
    :param model_dialects: a dialect for single models
    :param status_words: other words for ``submitted``, ``pending``, ``processing``, ``completed`` and ``failed``
    :param error_form: how a failed task says why: a name from :data:`.dialects.ERROR_FORMS`
    :param ignore_idempotency: take every POST as new, whatever its ``Idempotency-Key``
    :param idempotency_retention: seconds an idempotency key is remembered
    :param upload_lifetime: seconds an upload's URL works
    :param result_lifetime: seconds a result's URL works
    :param task_retention: seconds a finished task can still be asked about
    :param expired_file_status: what an expired URL answers, 404 or 410
    :param unknown_task_status: what an unknown task answers, 400 or 404
    :param any_model: accept model names that the table lacks, under lenient rules
    :param cache_bytes: how much drawn material is kept in memory; the rest is drawn again when asked for
    """

    host: str = "127.0.0.1"
    port: int = 0
    files_url: str | None = None
    kept_requests: int = 100_000
    api_key: str = "sk-sandbox-key"
    balance: Decimal | None = Decimal(100)
    other_keys: tuple[ApiKey, ...] = OTHER_KEYS
    seconds: float = 3.0
    video_multiple: float = 4.0
    jitter: float = 0.3
    seed: int = 0
    submit_delay: float = 0.0
    rate_limit: float | None = None
    submit_rate_limit: float | None = None
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    dialect: str = "current"
    model_dialects: Mapping[str, str] = field(default_factory=dict)
    status_words: Mapping[str, str] = field(default_factory=dict)
    error_form: str = "object"
    ignore_idempotency: bool = False
    idempotency_retention: float = DAY
    upload_lifetime: float = 3 * DAY
    result_lifetime: float = DAY
    task_retention: float = 3 * DAY
    expired_file_status: int = 404
    unknown_task_status: int = 404
    any_model: bool = False
    cache_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse unknown names now rather than at the first request."""
        for name in (self.dialect, *self.model_dialects.values()):
            dialect(name)
        if self.error_form not in ERROR_FORMS:
            raise ValueError(f"Unknown error_form {self.error_form!r}; known are {', '.join(ERROR_FORMS)}")

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, the usual one first."""
        return (ApiKey(self.api_key, self.balance), *self.other_keys)

    def dialect_of(self, model: str) -> str:
        """Return the name of the dialect in which a model's replies come."""
        return self.model_dialects.get(model, self.dialect)

    def changed(self, changes: Mapping[str, Any]) -> SandboxSettings:
        """
        Return these settings with some replaced.

        :param changes: new values by name; those fixed when a sandbox starts are refused
        """
        adjustable = {item.name for item in fields(self)} - FIXED
        if refused := set(changes) - adjustable:
            raise ValueError(f"Can't be set while running: {', '.join(sorted(refused))}")
        return replace(self, **changes)
