"""Timeout for response headers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

# Parts of the limit after which the connections are checked.
_CHECKS = 8


class HeadWatch:
    """
    Cuts connections on which the head of a reply isn't complete in time, even if single bytes keep arriving.

    One thread checks all connections: a timer for each request would cost a good part of what a small file does.

    :param seconds: The limit. A connection is cut at most an eighth of it later.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[object, tuple[float, socket.socket | None]] = {}
        self._lock = Lock()
        self._closed = Event()
        self._thread: Thread | None = None

    @contextmanager
    def limited(self, connection: socket.socket | None) -> Iterator[None]:
        """Cut a connection unless the block ends in time."""
        key = object()
        with self._lock:
            self._due[key] = (time.monotonic() + self._seconds, connection)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="apimart-head-watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._due[key]

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds / _CHECKS):
            # Under the lock, so that no connection is cut whose head was complete.
            with self._lock:
                for due, connection in self._due.values():
                    if due <= time.monotonic():
                        _shut_down(connection)


def _shut_down(connection: socket.socket | None) -> None:
    if connection is not None:
        # Not the method of a TLS socket, which would take its state away under the reader.
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
