"""Uploads of references, each distinct content once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME, UPLOAD_LIFETIME
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.reference_file import ReferenceFile
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.record import Record

# A submit may be repeated with the same URL for as long as its key is kept, and its images be fetched later.
_LONGEST_USE = IDEMPOTENCY_KEY_LIFETIME.total_seconds() + 3600.0


@dataclass(frozen=True)
class KeptUpload:
    """
    An upload that was made before.

    :param expires_at: Unix time by this machine's clock before which the URL works for sure.
    """

    url: str
    expires_at: float

    def serves_a_submit(self, now: float) -> bool:
        """Whether the URL outlives a submit made now, with all of its repetitions."""
        return now + _LONGEST_USE <= self.expires_at


class UploadRegistry(Protocol):
    """Uploads by the SHA-256 of their content."""

    def get(self, sha256: str) -> KeptUpload | None:
        """Return the upload of a content, ``None`` if none is known."""

    def put(self, sha256: str, upload: KeptUpload) -> None:
        """Keep an upload; a newer one of the same content replaces it."""


class UploadsInMemory:
    """Uploads in the memory of one process."""

    def __init__(self) -> None:
        self._uploads: dict[str, KeptUpload] = {}

    def get(self, sha256: str) -> KeptUpload | None:
        """Return the upload of a content, ``None`` if none is known."""
        return self._uploads.get(sha256)

    def put(self, sha256: str, upload: KeptUpload) -> None:
        """Keep an upload; a newer one of the same content replaces it."""
        self._uploads[sha256] = upload


class RecordedUploads:
    """
    The uploads of one task instance, kept in its record over its tries.

    :param record: The record of the task's generation.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def get(self, sha256: str) -> KeptUpload | None:
        """Return the upload of a content, ``None`` if none is known."""
        fact = self._record.read().uploads.get(sha256)
        return KeptUpload(fact.details["url"], fact.details["expires_at"]) if fact else None

    def put(self, sha256: str, upload: KeptUpload) -> None:
        """Keep an upload. An error of the record is raised, and nothing has been paid then."""
        self._record.note(FactKind.UPLOADED, sha256=sha256, url=upload.url, expires_at=upload.expires_at)


def upload_unless_kept(
    file: ReferenceFile, registry: UploadRegistry, policy: RetryPolicy, clock: Callable[[], float]
) -> Flow[str]:
    """
    Return the URL of a file. It is uploaded unless an upload of its content is known that is valid long enough.

    :param clock: The Unix time.
    :raises ApimartError: If it couldn't be uploaded. Nothing was charged.
    """
    began = clock()
    kept = registry.get(file.sha256)
    if kept and kept.serves_a_submit(began):
        return kept.url
    uploaded = yield from file.upload(policy)
    registry.put(file.sha256, KeptUpload(uploaded.url, began + UPLOAD_LIFETIME.total_seconds()))
    return uploaded.url


def upload_all(
    files: Mapping[str, ReferenceFile], registry: UploadRegistry, policy: RetryPolicy, clock: Callable[[], float]
) -> Flow[dict[str, str]]:
    """
    Return the URLs of the files of a request under the same names, one upload after the other.

    :raises ApimartError: If one couldn't be uploaded. Nothing was charged.
    """
    urls = {}
    for name, file in files.items():
        urls[name] = yield from upload_unless_kept(file, registry, policy, clock)
    return urls
