"""
Acceptance of repeated equal ``Content-Length`` headers in aiohttp.

A gateway that adds the header to a reply that has it already sends it twice. RFC 9110 (8.6) lets a client take equal
values for one, as ``urllib3`` does, which the other transport and the downloads use. The parser of ``aiohttp`` refuses
all of these replies, so a generation whose submit was answered would seem of unknown outcome.
"""

from __future__ import annotations

import re
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_END = b"\r\n\r\n"
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1\d\d")
# Heads beyond it are left to the parser, which has limits of its own.
_LONGEST_HEAD = 1024 * 1024


class TolerantConnector(aiohttp.TCPConnector):
    """Connector whose connections accept a Content-Length that is repeated with the same value."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = lambda: _TolerantHandler(self._loop)  # type: ignore[assignment]  # a partial in aiohttp


class _TolerantHandler(ResponseHandler):
    """Connection that removes repeated Content-Length headers from a reply before the parser reads it."""

    # The beginning of a reply while its head isn't complete; None within its body.
    _head: bytes | None = None

    def set_response_params(self, **parameters: Any) -> None:
        """Begin a reply."""
        self._head = b""
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Pass a body on as it is, and a head once it is complete."""
        if self._head is None:
            super().data_received(data)
            return
        self._head += data
        while self._head is not None and _END in self._head:
            head, _, rest = self._head.partition(_END)
            # After an informational reply comes the head of the final one.
            self._head = rest if _INFORMATIONAL.match(head) else None
            self._pass_on(head + _END, b"" if self._head is not None else rest)
        if self._head and len(self._head) > _LONGEST_HEAD:
            begun, self._head = self._head, None
            super().data_received(begun)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass on what was received of an incomplete head, so that the parser names what is wrong with it."""
        if self._head:
            begun, self._head = self._head, None
            super().data_received(begun)
        super().connection_lost(exc)

    def _pass_on(self, head: bytes, body: bytes) -> None:
        lengths = _LENGTH.findall(head)
        if len(set(lengths)) > 1:
            different = b", ".join(lengths).decode("latin-1")
            # The words of urllib3.
            self.set_exception(
                aiohttp.ClientPayloadError(f"Content-Length contained multiple unmatching values ({different})")
            )
            if self.transport:
                self.transport.close()
            return
        for _ in lengths[1:]:
            head = _LENGTH.sub(b"", head, count=1)
        super().data_received(head + body)
