"""Decompression of replies, identical for all HTTP libraries."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from contextlib import suppress

from airflow_provider_apimart.api import contract

ACCEPTED_ENCODINGS = "gzip, deflate"

_GZIP = ("gzip", "x-gzip")
_DEFLATE = ("deflate", "x-deflate")
_GZIP_MAGIC = b"\x1f\x8b"


def decoded(body: bytes, headers: Mapping[str, str]) -> bytes:
    """
    Return a body without its content encodings.

    What is encoded otherwise than announced is returned as it is.

    :param headers: Headers under lower-cased names.
    :raises ValueError: If the body is truncated, or longer than a reply may be.
    """
    names = [name.strip().lower() for name in headers.get("content-encoding", "").split(",")]
    for name in reversed(names):
        if name in _GZIP and body.startswith(_GZIP_MAGIC):
            body = _inflated(body, zlib.MAX_WBITS | 16)
        elif name in _DEFLATE and _has_zlib_header(body):
            body = _inflated(body, zlib.MAX_WBITS)
        elif name in _DEFLATE:
            # Some servers leave the header out. Whether they did shows in the attempt only.
            with suppress(ValueError):
                body = _inflated(body, -zlib.MAX_WBITS)
    return body


def _has_zlib_header(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def _inflated(body: bytes, window: int) -> bytes:
    found = bytearray()
    # A gzip body may have several members.
    while body:
        decoder = zlib.decompressobj(window)
        try:
            found += decoder.decompress(body, contract.MAX_REPLY_BYTES + 1 - len(found))
        except zlib.error as error:
            raise ValueError(f"its compression is damaged: {error}") from None
        if len(found) > contract.MAX_REPLY_BYTES:
            raise ValueError(f"the reply is longer than {contract.MAX_REPLY_BYTES:,} bytes")
        if not decoder.eof:
            raise ValueError("its compressed body is truncated")
        body = decoder.unused_data if decoder.unused_data.startswith(_GZIP_MAGIC) else b""
    return bytes(found)
