"""
File server on loopback in a process of its own, which sends files with ``sendfile``.

``GET /<bytes>/<anything>`` is answered with that many bytes of an image, after the server's latency.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

PNG = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1024 * 1024


@contextmanager
def file_server(largest: int, latency: float = 0.0) -> Iterator[str]:
    """
    Serve files until the block ends; its value is the URL to ask.

    :param largest: Bytes of the largest file.
    :param latency: Seconds between a request and the first byte of its answer, as on the way to a near host.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, largest, latency), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(address: Connection, largest: int, latency: float) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    with tempfile.TemporaryFile() as file:
        _fill(file.fileno(), largest)
        address.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_converse, args=(connection, file.fileno(), latency), daemon=True).start()


def _fill(file: int, size: int) -> None:
    noise = os.urandom(_BLOCK)
    os.write(file, PNG)
    while (written := os.lseek(file, 0, os.SEEK_CUR)) < size:
        os.write(file, noise[: size - written])


def _converse(connection: socket.socket, file: int, latency: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(OSError), connection, connection.makefile("rb") as requests:
        while request := requests.readline():
            while requests.readline().strip():
                pass
            time.sleep(latency)
            _send(connection, file, int(request.split(b"/")[1]))


def _send(connection: socket.socket, file: int, size: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode(), socket.MSG_MORE)
    sent = 0
    while sent < size:
        sent += os.sendfile(connection.fileno(), file, sent, size - sent)
