"""Decoder of bodies that a host sent with a Content-Encoding, although none was asked for."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from airflow_provider_apimart.api.media_type import HEAD_BYTES, MEDIA_PREFIXES, media_type
from airflow_provider_apimart.exceptions import ApimartDownloadError

_BLOCK = 256 * 1024
_GZIP = b"\x1f\x8b"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# Encodings that change the content. Others, such as aws-chunked or utf-8, are leftovers of an upload.
_COMPRESSIONS = {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"}


class Decompressor:
    """
    Decoder of one body. The first bytes decide how, since the header is wrong at times.

    A body that begins like an image, video or audio is taken as it is; one that begins like gzip or zlib is
    unpacked, all of its members.

    :param encoding: The ``Content-Encoding``, lower-cased; empty if there is none.
    """

    def __init__(self, encoding: str) -> None:
        self._names = set(re.split(r"[\s,]+", encoding)) & _COMPRESSIONS
        self._encoding = encoding
        self._head = b""
        self._is_plain: bool | None = None if encoding else True
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    @property
    def at_end(self) -> bool:
        """Whether nothing of the body is missing, as far as the encoding shows."""
        return self._is_plain is not False or self._stream.eof

    def decompress(self, block: bytes) -> Iterator[bytes]:
        """
        Decode a block, as blocks of bounded size.

        :raises ApimartDownloadError: If it can't be decoded.
        """
        if self._is_plain is None:
            self._head += block
            if len(self._head) < HEAD_BYTES:
                return
            block = self._decide()
        yield from (block,) if self._is_plain else self._unpacked(block)

    def finish(self) -> Iterator[bytes]:
        """
        Decode what waits at the end of the body.

        :raises ApimartDownloadError: If it can't be decoded.
        """
        if self._is_plain is None:
            block = self._decide()
            yield from (block,) if self._is_plain else self._unpacked(block)

    def _decide(self) -> bytes:
        head, self._head = self._head, b""
        found = media_type(head[:HEAD_BYTES]) or ""
        self._is_plain = found.startswith(MEDIA_PREFIXES) or not self._names
        if not self._is_plain and not head.startswith((_GZIP, *_ZLIB)):
            if self._names != {"deflate"}:
                raise ApimartDownloadError(f"its host encoded it as {self._encoding!r}, which was not asked for")
            # Some hosts send it without the head that the standard demands.
            self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        return head

    def _unpacked(self, block: bytes) -> Iterator[bytes]:
        try:
            while block := self._next_member(block):
                content = self._stream.decompress(block, _BLOCK)
                while content:
                    yield content
                    content = self._stream.decompress(self._stream.unconsumed_tail, _BLOCK)
                block = self._stream.unused_data
        except zlib.error as error:
            raise ApimartDownloadError(f"it is not encoded as {self._encoding!r} says: {error}") from None

    def _next_member(self, block: bytes) -> bytes:
        """Return what is left to unpack, behind the zeros with which some writers fill up."""
        if self._stream.eof:
            block = block.lstrip(b"\0")
            if block:
                self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        return block
