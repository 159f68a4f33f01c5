"""Entries and files for tests of the library."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import OutputKind
from airflow_provider_apimart.library.entry import EntryFile, LibraryEntry, Maker
from airflow_provider_apimart.library.request_identity import request_identity
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from airflow_provider_apimart.results.storage.receipts import SavedFile

REQUEST = {"model": "m", "prompt": "a cat"}
IDENTITY = request_identity(Modality.IMAGE, REQUEST, {})
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def saved(uri: str, content: bytes, media_type: str = "image/png") -> SavedFile:
    """Return what is known of a file with some content."""
    return SavedFile(uri, len(content), hashlib.sha256(content).hexdigest(), media_type)


def stored(uri: str, content: bytes) -> SavedFile:
    """Write a file, and return what is known of it."""
    path = ObjectStoragePath(uri)
    if path.protocol in ("", "file"):
        path.parent.mkdir(parents=True, exist_ok=True)
    path.fs.pipe_file(path.path, content)
    return saved(uri, content)


def entry(number: int = 0, **changes: Any) -> LibraryEntry:
    """Return an entry of a generation of its own."""
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "generation_id": f"task_{number}",
        "modality": Modality.IMAGE,
        "request": REQUEST,
        "files": (EntryFile(KeptFile(saved(f"file:///pictures/{number}.png", b"x" * number)), OutputKind.IMAGE),),
        "cost": Decimal("0.05"),
        "completed": NOON,
        "made_by": Maker("dag", "task", "run", -1, "item"),
        "result": {},
        **changes,
    }
    return LibraryEntry(**given)
