"""
APIMart's contract in names and numbers, each stated once.

Sources are the vendor's documentation, the vendor's own client and recorded replies (newest: 2026-09).
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

DEFAULT_BASE_URL = "https://api.apimart.ai"

IDEMPOTENCY_KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
RESPONSE_VERSION_HEADER = "X-APIMart-Response-Version"
RESPONSE_VERSION = "2026-07-27"
REQUEST_ID_HEADER = "X-Oneapi-Request-Id"
RETRY_AFTER_HEADER = "Retry-After"

IDEMPOTENCY_KEY_LIFETIME = timedelta(hours=24)
UPLOAD_LIFETIME = timedelta(hours=72)
RESULT_LIFETIME = timedelta(hours=24)

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
MAX_REPLY_BYTES = 32 * 1024 * 1024

UPLOADS_PATH = "/v1/uploads/images"
BALANCE_PATH = "/v1/balance"
MODELS_PATH = "/v1/models"
TASKS_PATH = "/v1/tasks"
MUSIC_TASKS_PATH = "/v1/music/tasks"
PRICES_PATH = "/api/pricing/model"


class Modality(StrEnum):
    """Kind of media that a generation makes, in the words of APIMart's routes and results."""

    IMAGE = "image"
    VIDEO = "video"
    MUSIC = "music"

    @property
    def path(self) -> str:
        """The route that submits a generation, and the prefix of the older polling route."""
        return f"/v1/{self.value}/generations" if self is Modality.MUSIC else f"/v1/{self.value}s/generations"

    @property
    def status_paths(self) -> tuple[str, ...]:
        """The routes that may return the status of a generation, today's first; music has one of its own."""
        return (MUSIC_TASKS_PATH,) if self is Modality.MUSIC else (TASKS_PATH, self.path)
