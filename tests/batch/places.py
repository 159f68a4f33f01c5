"""Places for a batch's record and files: disk, memory, S3, and storages with limited features."""

from __future__ import annotations

import uuid
from enum import StrEnum
from pathlib import Path

from airflow.providers.common.compat.sdk import ObjectStoragePath

from tests.durable.stores import InPlaceDiskFileSystem, StaleDiskFileSystem, WholeFileSystem
from tests.object_storage import attach_anew
from tests.s3 import CONNECTION_ID

BUCKET = "batches"


class Place(StrEnum):
    """A kind of storage."""

    LOCAL = "local"
    MEMORY = "memory"
    S3 = "S3"
    IN_PLACE = "in place"
    STALE = "stale listings"

    def attach(self) -> None:
        """Let this process reach it."""
        match self:
            case Place.MEMORY:
                attach_anew("memory", WholeFileSystem())
            case Place.IN_PLACE:
                attach_anew("sftp", InPlaceDiskFileSystem(skip_instance_cache=True))
            case Place.STALE:
                # Object stores have no directories.
                attach_anew("gs", StaleDiskFileSystem(skip_instance_cache=True, auto_mkdir=True))

    def uri(self, folder: Path) -> str:
        """
        Return the URI of a directory there.

        :param folder: A directory of this machine, for those that use its disk.
        """
        match self:
            case Place.MEMORY:
                return f"memory://batches/{uuid.uuid4().hex}"
            case Place.S3:
                # A bucket of a server that ``tests.s3`` has started.
                return f"s3://{CONNECTION_ID}@{BUCKET}/{uuid.uuid4().hex}"
            case Place.IN_PLACE:
                return f"sftp://{folder}"
            case Place.STALE:
                return f"gs:/{folder}"
        return folder.as_uri()


def read(uri: str) -> bytes:
    """Return the content of a file."""
    path = ObjectStoragePath(uri)
    return bytes(path.fs.cat_file(path.path))
