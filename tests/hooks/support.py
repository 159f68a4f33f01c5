"""Hooks that lead to a server of the test, and tiny servers that do what the sandbox can't."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import pytest

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.hooks.apimart import ApimartHook

T = TypeVar("T")
Holder = Callable[[ApimartHook, Flow[Any]], Any]

KEY = "sk-sandbox-key"
PAYLOAD = {"model": "gemini-3-pro-image-preview", "prompt": "a fox"}
VIDEO_PAYLOAD = {"model": "kling-v2-6", "prompt": "a fox"}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(2_000)
QUICK = RetryPolicy(max_requests=5, seconds=5.0, rate_limited_seconds=5.0, first=0.01, longest=0.05)


def quick_hook(monkeypatch: pytest.MonkeyPatch, host: str, *, password: str = KEY, extra: object = None) -> ApimartHook:
    """Return a hook for a host that pauses hardly at all."""
    connection = {"conn_type": "apimart", "host": host, "password": password, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", json.dumps(connection))
    hook = ApimartHook()
    hook.submit_policy = hook.status_policy = hook.upload_policy = QUICK
    return hook


def in_worker(hook: ApimartHook, flow: Flow[T]) -> T:
    """Hold a flow over requests."""
    return hook.run(flow)


def in_trigger(hook: ApimartHook, flow: Flow[T]) -> T:
    """Hold a flow over aiohttp."""

    async def run() -> T:
        transport = AiohttpTransport(await hook.get_async_settings())
        await transport.open()
        try:
            return await transport.run(flow)
        finally:
            await transport.close()

    return asyncio.run(run())


@dataclass
class Wire:
    """
    A server of raw bytes: what it was sent, and what it says to each request.

    :param said: How many bytes it could say.
    """

    answers: list[bytes]
    received: list[bytes] = field(default_factory=list)
    said: int = 0
    port: int = 0
    pieces: float | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        return b"".join(self.received).decode("latin-1")


def http(status: str, body: bytes = b"", *, headers: str = "", length: int | None = None) -> bytes:
    """Write a whole HTTP reply."""
    told = f"Content-Length: {len(body) if length is None else length}\r\n" if length != -1 else ""
    return f"HTTP/1.1 {status}\r\n{told}Connection: close\r\n{headers}\r\n".encode() + body


@contextmanager
def wire(*answers: bytes, pieces: float | None = None) -> Iterator[Wire]:
    """
    Answer one connection after the other with raw bytes, the last answer again and again.

    :param pieces: Seconds between two bytes, for a reply that drips.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.02)
    server, over = Wire(list(answers), port=listening.getsockname()[1], pieces=pieces), threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(TimeoutError, OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(10)
                    server.received.append(_read_request(connection))
                    answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                    _say(connection, answer, server, over)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join()
        listening.close()


@dataclass
class KeptAlive:
    """
    A server that keeps a connection alive, and cuts it at its second request.

    :param requests: The number of the connection and the method of every request that came.
    """

    port: int
    requests: list[tuple[int, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def kept_alive_then_cut(body: bytes, *, read: bool, said: bytes) -> Iterator[KeptAlive]:
    """
    Answer the first request of every connection, and cut the connection at its second one.

    :param read: Whether the second request is read whole before the cut.
    :param said: What is said to it before the cut.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.02)
    server, over = KeptAlive(listening.getsockname()[1]), threading.Event()
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def converse(connection: socket.socket, number: int) -> None:
        for reading, saying in ((True, answer), (read, said)):
            request = _read_request(connection) if reading else connection.recv(20)
            if request:
                server.requests.append((number, request.partition(b" ")[0].decode()))
                connection.sendall(saying)

    def serve() -> None:
        numbers = count()
        while not over.is_set():
            with suppress(TimeoutError, OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(10)
                    converse(connection, next(numbers))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join()
        listening.close()


def _say(connection: socket.socket, answer: bytes, server: Wire, over: threading.Event) -> None:
    if server.pieces is None:
        connection.sendall(answer)
        return
    for byte in answer:
        connection.sendall(bytes([byte]))
        server.said += 1
        if over.wait(server.pieces):
            return


# The first byte of a TLS record with a handshake. What follows is no request.
_TLS_GREETING = b"\x16"


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        block = connection.recv(65_536)
        if not block or block.startswith(_TLS_GREETING):
            return received
        received += block
    head, _, body = received.partition(b"\r\n\r\n")
    lower = head.lower()
    length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    while len(body) < length:
        block = connection.recv(65_536)
        if not block:
            break
        body += block
    while b"transfer-encoding: chunked" in lower and not body.endswith(b"0\r\n\r\n"):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def whole_chain(error: BaseException) -> Iterator[BaseException]:
    """Go through an exception and all that it drags along."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__]


def everything_said(error: BaseException) -> str:
    """Return all that a log of this error could show."""
    return " ".join(f"{each} {each!r} {each.args!r} {vars(each)!r}" for each in whole_chain(error))
