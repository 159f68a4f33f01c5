"""S3 on loopback, by moto's server, and the Airflow connection that leads to it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTION_ID = "aws_test"
# More only take turns: moto computes. Connections that wait hold none.
_THREADS = 4
_KEYS = {"aws_access_key_id": "sandbox-key", "aws_secret_access_key": "sandbox-secret", "region_name": "us-east-1"}


@dataclass(frozen=True)
class S3Server:
    """
    A server that speaks S3.

    :param endpoint: Its URL.
    """

    endpoint: str

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of a process must hold for Airflow to reach it."""
        extra: dict[str, Any] = {"endpoint_url": self.endpoint, "region_name": _KEYS["region_name"]}
        login = {"login": _KEYS["aws_access_key_id"], "password": _KEYS["aws_secret_access_key"]}
        connection = json.dumps({"conn_type": "aws", **login, "extra": extra})
        return {f"AIRFLOW_CONN_{CONNECTION_ID.upper()}": connection}

    def bucket(self, name: str) -> Any:
        """Make a bucket, unless it is there, and return it as boto3 does."""
        import boto3

        bucket = boto3.resource("s3", endpoint_url=self.endpoint, **_KEYS).Bucket(name)
        bucket.create()
        return bucket


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """
    Provide S3 on loopback, with the connection in the environment.

    One in a process at most: Airflow keeps the file system of a connection, and with it the port of the server.
    """
    from cheroot.wsgi import Server
    from moto.moto_server.werkzeug_app import create_backend_app

    server = Server(
        ("127.0.0.1", 0), _whole_bodies(create_backend_app("s3")), numthreads=_THREADS, request_queue_size=128
    )
    server.prepare()
    threading.Thread(target=server.serve, name="moto", daemon=True).start()
    running = S3Server(f"http://127.0.0.1:{server.bind_addr[1]}")
    os.environ |= running.variables
    try:
        yield running
    finally:
        server.stop()


def _whole_bodies(application: WSGIApplication) -> WSGIApplication:
    """Refuse bodies that end too early, as S3 does: the client was killed."""

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("CONTENT_LENGTH"):
            # Otherwise werkzeug takes the end of the connection for the end of the body.
            environ.pop("wsgi.input_terminated", None)
        return application(environ, start_response)

    return checked
