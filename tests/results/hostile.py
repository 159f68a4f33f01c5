"""A server of raw bytes that does to its clients whatever a test likes, and remembers all they said."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


def picture(size: int, seed: int = 0) -> bytes:
    """Return what begins like a PNG and goes on with noise."""
    return PNG + random.Random(seed).randbytes(size - len(PNG))


def sha256(content: bytes) -> str:
    """Return the hexadecimal digits of a digest."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Asked:
    """
    One request.

    :param number: How many came before it.
    :param headers: By lower-case name.
    :param raw: Every byte of it.
    """

    number: int
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def offset(self) -> int | None:
        """The byte from which on the file is asked for, ``None`` if all of it is."""
        selected = self.headers.get("range")
        return int(selected.removeprefix("bytes=").partition("-")[0]) if selected else None


#: Pieces to send, and seconds to wait in between. When they are over, the connection is closed.
Answer = Callable[[Asked], Iterable[bytes | float]]


@dataclass
class Hostile:
    """
    The server, while it runs.

    :param asked: The requests that came.
    :param sent: Bytes that were sent.
    :param whole: Paths of the answers that were sent to their end.
    :param connections: How many were made to it.
    """

    port: int
    host: str = "127.0.0.1"
    asked: list[Asked] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    sent: int = 0
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """All that clients said."""
        return b"".join(each.raw for each in self.asked).decode("latin-1")


def head(status: str = "200 OK", **headers: Any) -> bytes:
    """Write the head of a reply; ``content_length=5`` becomes ``Content-Length: 5``."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode()


def whole(content: bytes, **headers: Any) -> Answer:
    """Answer everything with one file."""
    return lambda asked: [head(content_length=len(content), **headers), content]


@contextmanager
def hostile(
    answer: Answer, *, host: str = "127.0.0.1", wrap: Callable[[socket.socket], socket.socket] | None = None
) -> Iterator[Hostile]:
    """
    Serve, each connection in a thread of its own and for one request.

    :param wrap: Makes a connection of another kind of each, such as TLS.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, 0), family=family, backlog=256)
    server = Hostile(listening.getsockname()[1], f"[{host}]" if ":" in host else host)
    threads: list[threading.Thread] = []

    def serve() -> None:
        while not server.over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                server.connections += 1
                threads.append(threading.Thread(target=converse, args=(connection,), daemon=True))
                threads[-1].start()

    def converse(connection: socket.socket) -> None:
        connection.settimeout(5)
        with suppress(OSError):
            connection = wrap(connection) if wrap else connection
            asked = _asked(connection, server)
            if asked:
                _say(connection, answer(asked), asked, server)
        with suppress(OSError):
            connection.close()

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.over.set()
        # Ends the waiting for a connection.
        listening.shutdown(socket.SHUT_RDWR)
        for thread in (accepting, *threads):
            thread.join()
        listening.close()


def _asked(connection: socket.socket, server: Hostile) -> Asked | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        block = connection.recv(65_536)
        if not block:
            return None
        raw += block
    first, *lines = raw.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    asked = Asked(len(server.asked), first.split(" ")[1], headers, raw)
    server.asked.append(asked)
    return asked


def _say(connection: socket.socket, pieces: Iterable[bytes | float], asked: Asked, server: Hostile) -> None:
    for piece in pieces:
        if server.over.is_set():
            return
        if isinstance(piece, float):
            time.sleep(piece)
            continue
        connection.sendall(piece)
        server.sent += len(piece)
    server.whole.append(asked.path)
