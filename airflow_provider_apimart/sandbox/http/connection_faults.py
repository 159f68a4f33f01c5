"""Faults of the connection: lost, truncated, endless and unreadable replies."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from airflow_provider_apimart.sandbox.service.faults import Fault
from airflow_provider_apimart.sandbox.service.replies import Reply

CHUNK = b" " * 65_536

Effect = Callable[[web.Request, Reply, Fault], Awaitable[None]]


def _write(request: web.Request, content: bytes) -> None:
    if request.transport is not None:
        request.transport.write(content)


async def close_connection(request: web.Request, _reply: Reply, _fault: Fault) -> None:
    """Close the connection without a reply."""
    if request.transport is not None:
        request.transport.close()


async def reset(request: web.Request, _reply: Reply, _fault: Fault) -> None:
    """Close the connection with a TCP reset instead of an orderly close."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()


async def no_answer(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Send nothing for a while, then close the connection."""
    await asyncio.sleep(fault.seconds)
    await close_connection(request, reply, fault)


async def truncated(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Announce the full length and send half of the body."""
    _write(request, _head(reply, len(reply.body)) + reply.body[: len(reply.body) // 2])
    await close_connection(request, reply, fault)


async def garbage(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Send bytes that are not HTTP."""
    _write(request, bytes(range(255, -1, -1)))
    await close_connection(request, reply, fault)


async def garbage_body(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Send a complete reply whose body is neither JSON nor text."""
    body = bytes(range(255, -1, -1))
    _write(request, _head(reply, len(body)) + body)
    await close_connection(request, reply, fault)


async def oversized(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Send a body above any limit of size."""
    response = _stream(reply)
    await response.prepare(request)
    for _ in range(fault.size // len(CHUNK)):
        await response.write(CHUNK)
    await response.write(reply.body)
    await response.write_eof()


async def endless(request: web.Request, reply: Reply, fault: Fault) -> None:
    """Send a space at short intervals, so that no timeout between bytes applies."""
    response = _stream(reply)
    await response.prepare(request)
    ending = asyncio.get_running_loop().time() + fault.seconds
    while asyncio.get_running_loop().time() < ending:
        await response.write(b" ")
        await asyncio.sleep(0.05)
    await close_connection(request, reply, fault)


def _stream(reply: Reply) -> web.StreamResponse:
    return web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers})


def _head(reply: Reply, length: int) -> bytes:
    headers = {"Content-Type": reply.content_type, "Content-Length": str(length), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {'OK' if reply.status < 400 else 'Error'}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


EFFECTS: Mapping[str, Effect] = MappingProxyType(
    {
        "lost_answer": close_connection,
        "closed_before_reading": reset,
        "no_answer": no_answer,
        "truncated": truncated,
        "reset": reset,
        "garbage": garbage,
        "garbage_body": garbage_body,
        "oversized": oversized,
        "endless": endless,
    }
)
"""The effect of each fault of the connection; other faults replace the reply."""
