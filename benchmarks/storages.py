"""
The storages of the benchmarks: a local disk, and S3 by moto's server.

``python -m benchmarks.storages`` serves S3 until its input ends, and prints the endpoint.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.s3 import CONNECTION_ID, S3Server, s3_server

PROJECT = Path(__file__).resolve().parents[1]
_BUCKET = "bench"


@contextmanager
def local(home: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Provide the URI of a directory, and the variables with which a process reaches it."""
    yield (home / "local").as_uri(), {}


@contextmanager
def s3(_: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Provide the same on S3, served from a process of its own, as the real one is."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.storages"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert serving.stdin
    assert serving.stdout
    try:
        yield f"s3://{CONNECTION_ID}@{_BUCKET}/files", S3Server(serving.stdout.readline().strip()).variables
    finally:
        serving.stdin.close()
        serving.wait()


#: By the names that the tables have for them.
STORAGES = {"local": local, "S3": s3}


def _serve() -> None:
    # Its threads compute: taking turns more seldom takes a quarter of the time off.
    sys.setswitchinterval(0.05)
    with s3_server() as server:
        server.bucket(_BUCKET)
        print(server.endpoint, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()
