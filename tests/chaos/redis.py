"""A Redis server on loopback, which keeps nothing on disk."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.processes import Processes
from tests.lab.airflow_server import free_port

_LONGEST_START = 30.0


def missing_program() -> str | None:
    """Return the name of the program that is needed, if it isn't there."""
    return None if shutil.which("redis-server") else "redis-server"


@contextmanager
def redis(processes: Processes) -> Iterator[int]:
    """Run a server while the block runs; the value is its port."""
    port = free_port()
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    processes.start("redis", command, os.environ)
    try:
        _wait_for(port, processes)
        yield port
    finally:
        processes.kill("redis")


def _wait_for(port: int, processes: Processes) -> None:
    give_up_at = time.monotonic() + _LONGEST_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError as error:
            if time.monotonic() > give_up_at:
                raise AssertionError(f"Redis doesn't start:\n{processes.log('redis')}") from error
            time.sleep(0.1)
