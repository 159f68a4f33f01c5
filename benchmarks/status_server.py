"""
A service that answers every GET with a running generation after 50 milliseconds, in a process of its own.

It speaks no more HTTP than that takes, so that it isn't what a benchmark of clients measures.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANSWERS_AFTER = 0.05

_BODY = json.dumps(
    {
        "code": 200,
        "data": {
            "id": "task_01",
            "status": "processing",
            "progress": 37,
            "created": 1_790_000_000,
            "estimated_time": 60,
        },
    }
).encode()
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_END_OF_REQUEST = b"\r\n\r\n"


class StatusProtocol(asyncio.Protocol):
    """One connection that is kept alive."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, later."""
        *requests, self._received = (self._received + data).split(_END_OF_REQUEST)
        for _ in requests:
            asyncio.get_running_loop().call_later(ANSWERS_AFTER, self._transport.write, _REPLY)


async def serve() -> None:
    """Serve for ever; the port is the first line of the output."""
    server = await asyncio.get_running_loop().create_server(StatusProtocol, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def status_server() -> Iterator[str]:
    """Run the server in another process and yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.status_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(serve())
