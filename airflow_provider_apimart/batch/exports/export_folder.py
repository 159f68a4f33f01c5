"""Directory of a batch's exports, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_apimart.results.storage.paths import storage_path, uri_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


@dataclass(frozen=True)
class ExportFolder:
    """
    The directory of a batch's exports, which is that of its ledger.

    :param folder: Its path or URI.
    :param batch: The name of the batch's files, the same in every try of the task.
    """

    folder: str
    batch: str

    @property
    def path(self) -> ObjectStoragePath:
        """The directory."""
        return storage_path(self.folder)

    def name_of(self, uri: str) -> str | None:
        """Return a file's name relative to the directory, ``None`` for a file that is elsewhere."""
        beginning = uri_of(self.path / "x").removesuffix("x")
        return uri.removeprefix(beginning) if uri.startswith(beginning) else None
