"""A PostgreSQL server on loopback, whose connections can be cut."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.chaos.processes import Processes
from tests.lab.airflow_server import free_port

_LONGEST_START = 60.0
# The server refuses to run as root.
_USER = "nobody" if os.geteuid() == 0 else None


@dataclass(frozen=True)
class Postgres:
    """
    A running server.

    :param port: Where it listens.
    """

    port: int

    @property
    def address(self) -> str:
        """Who connects to what, as a part of a URI."""
        return f"chaos@127.0.0.1:{self.port}/postgres"

    def rows(self, query: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """Ask over a connection of its own."""
        with psycopg.connect(f"postgresql://{self.address}", autocommit=True) as connection:
            return connection.execute(query, values).fetchall()

    def cut_connections(self) -> int:
        """Cut all connections but this one, and return how many there were."""
        return len(
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )


def missing_program() -> str | None:
    """Return the name of a program that is needed and isn't there, if there is one."""
    return next((name for name in ("initdb", "postgres") if _program(name) is None), None)


@contextmanager
def postgres(processes: Processes) -> Iterator[Postgres]:
    """Run a server with an empty database while the block runs."""
    server = Postgres(free_port())
    with tempfile.TemporaryDirectory(prefix="apimart-chaos-postgres-") as name:
        if _USER:
            shutil.chown(name, _USER)
        data = str(Path(name) / "data")
        creation = (_found("initdb"), "--pgdata", data, "--username=chaos", "--auth=trust", "--no-sync")
        processes.run("initdb", creation, os.environ, _USER)
        processes.start("postgres", (_found("postgres"), "-D", data, *_settings(server.port)), os.environ, _USER)
        try:
            _wait_for(server, processes)
            yield server
        finally:
            # Killed, it would leave shared memory behind.
            processes.stop("postgres")


def _settings(port: int) -> Iterator[str]:
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,
        # Nobody cuts the power here, only connections.
        "fsync": "off",
    }
    for name, value in settings.items():
        yield from ("-c", f"{name}={value}")


def _wait_for(server: Postgres, processes: Processes) -> None:
    give_up_at = time.monotonic() + _LONGEST_START
    while True:
        try:
            server.rows("SELECT 1")
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > give_up_at:
                raise AssertionError(f"PostgreSQL doesn't start:\n{processes.log('postgres')}") from error
            time.sleep(0.2)


def _found(program: str) -> str:
    path = _program(program)
    assert path is not None
    return path


def _program(name: str) -> str | None:
    """Return where a program is; Debian keeps them where no PATH leads to."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)]))
