"""Settings of a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Literal

from airflow_provider_apimart.sandbox.service.dialects import ERROR_FORMS, dialect

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class ApiKey:
    """
    An API key and its permissions.

    :param key: the secret itself
    :param balance: initial balance in US dollars; ``None`` means unlimited
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

FIXED = frozenset({"host", "port", "files_url", "kept_requests", "api_key", "other_keys", "state"})


@dataclass(frozen=True)
class SandboxSettings:
    """
    Settings of a sandbox; all except :data:`.FIXED` can be changed while it runs.

    :param host: address to listen on
    :param port: port to listen on; 0 selects a free one
    :param files_url: base URL of public files; ``None`` means the sandbox's own
    :param state: path of a file that keeps the state over a restart; uploads are kept in ``STATE.uploads`` beside it
    :param kept_requests: how many requests are kept in full; counters cover all
    :param api_key: the accepted API key
    :param balance: initial balance of that key in US dollars
    :param other_keys: further keys: one without balance, one allowed a single model, one unlimited
    :param seconds: mean run time of an image, in seconds
    :param video_multiple: factor on the run time of a video or music
    :param jitter: maximum deviation of run times from the mean, as a share of it; 0 makes them equal
    :param seed: seed of run times and random faults; the same seed gives the same run
    :param submit_delay: seconds between accepting a generation and replying; its key is in progress meanwhile
    :param rate_limit: API calls per second in total; ``None`` means unlimited
    :param submit_rate_limit: submits per second, in addition to ``rate_limit``
    :param retry_after: the form of ``Retry-After``: ``"seconds"``, ``"date"`` or ``"none"``
    :param dialect: the shapes of replies: a name from :data:`.dialects.DIALECTS`, or ``"S2+T8"``, optionally
        with ``@generations`` (or ``@both``) for the older polling route
    :param model_dialects: dialects of individual models
    :param status_words: other words for ``submitted``, ``pending``, ``processing``, ``completed`` and ``failed``
    :param error_form: the form of a failed task's error: a name from :data:`.dialects.ERROR_FORMS`
    :param ignore_idempotency: process every POST as new, in spite of its ``Idempotency-Key``
    :param idempotency_retention: seconds an idempotency key is kept
    :param upload_lifetime: seconds until an upload's URL expires
    :param result_lifetime: seconds until a result's URL expires
    :param task_retention: seconds the record of a finished task is kept
    :param expired_file_status: HTTP status of an expired URL, 404 or 410
    :param unknown_task_status: HTTP status of an unknown task, 400 or 404
    :param account_ratio: what the account pays, as a share of the public prices
    :param price_factor: factor on all public prices and charges, such as a price increase
    :param pricing_changes: fields of the price route's reply to replace, by model
    :param task_visible_after: seconds after acceptance during which the status route doesn't know a task
    :param max_outputs: deliver at most this many outputs per generation; only those are billed
    :param strict: refuse parameters that the model's description doesn't have, instead of ignoring them
    :param any_model: accept unknown model names, with lenient rules
    :param cache_bytes: size of the cache of rendered files; a file not in it is rendered again
    """

    host: str = "127.0.0.1"
    port: int = 0
    files_url: str | None = None
    state: str | None = None
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
    account_ratio: Decimal = Decimal(1)
    price_factor: Decimal = Decimal(1)
    pricing_changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    task_visible_after: float = 0.0
    max_outputs: int | None = None
    strict: bool = False
    any_model: bool = False
    cache_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        """Validate names; raises ``ValueError`` for an unknown one."""
        for name in (self.dialect, *self.model_dialects.values()):
            dialect(name)
        if self.error_form not in ERROR_FORMS:
            raise ValueError(f"Unknown error_form {self.error_form!r}; known are {', '.join(ERROR_FORMS)}")

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, starting with ``api_key``."""
        return (ApiKey(self.api_key, self.balance), *self.other_keys)

    def dialect_of(self, model: str) -> str:
        """Return the name of a model's dialect."""
        return self.model_dialects.get(model, self.dialect)

    def changed(self, changes: Mapping[str, Any]) -> SandboxSettings:
        """
        Return these settings with changes.

        :param changes: new values by name
        :raises ValueError: a name is unknown, or one of :data:`.FIXED`
        """
        adjustable = {item.name for item in fields(self)} - FIXED
        if refused := set(changes) - adjustable:
            raise ValueError(f"Cannot be changed while the sandbox runs: {', '.join(sorted(refused))}")
        return replace(self, **changes)
