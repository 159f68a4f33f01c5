"""Places where a batch keeps its record and its files: disk, memory, S3, and storages that behave oddly."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import fsspec
from airflow.providers.common.compat.sdk import ObjectStoragePath

from tests.durable.stores import InPlaceDiskFileSystem, StaleDiskFileSystem
from tests.object_storage import attach_anew

_BUCKET = "batches"
_KEYS = {"aws_access_key_id": "sandbox-key", "aws_secret_access_key": "sandbox-secret", "region_name": "us-east-1"}


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
                attach_anew("memory", fsspec.filesystem("memory"))
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
                return f"s3://aws_places@{_BUCKET}/{uuid.uuid4().hex}"
            case Place.IN_PLACE:
                return f"sftp://{folder}"
            case Place.STALE:
                return f"gs:/{folder}"
        return folder.as_uri()


@contextmanager
def s3_server() -> Iterator[Mapping[str, str]]:
    """
    Provide S3 on loopback, with the Airflow connection ``aws_places`` that leads to it.

    It yields the variables of a process that keeps its records there.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    # It would tell of each request.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, **_KEYS).create_bucket(Bucket=_BUCKET)
    variables = {"AIRFLOW_CONN_AWS_PLACES": _connection(endpoint)}
    os.environ |= variables
    try:
        yield {**variables, "AIRFLOW__APIMART__LEDGER_PATH": f"s3://aws_places@{_BUCKET}/records"}
    finally:
        del os.environ["AIRFLOW_CONN_AWS_PLACES"]
        server.stop()


def _connection(endpoint: str) -> str:
    extra: dict[str, Any] = {"endpoint_url": endpoint, "region_name": _KEYS["region_name"]}
    login = {"login": _KEYS["aws_access_key_id"], "password": _KEYS["aws_secret_access_key"]}
    return json.dumps({"conn_type": "aws", **login, "extra": extra})


def read(uri: str) -> bytes:
    """Return the content of a file."""
    path = ObjectStoragePath(uri)
    return bytes(path.fs.cat_file(path.path))
