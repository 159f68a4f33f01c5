"""Bodies that a host packed although that wasn't asked for, unpacked in blocks that a few bytes can't blow up."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from airflow_provider_apimart.exceptions import ApimartDownloadError

_BLOCK = 256 * 1024
_ENCODINGS = ("gzip", "x-gzip", "deflate")


class Decompressor:
    """
    Unpacks one body.

    :param encoding: What its ``Content-Encoding`` says.
    :raises ApimartDownloadError: If that can't be unpacked here.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in _ENCODINGS:
            raise ApimartDownloadError(f"its host packed it with {encoding!r}, which was not asked for")
        self._encoding = encoding
        # Either of the two heads that go by these names.
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    @property
    def at_end(self) -> bool:
        """Whether the whole of it was unpacked."""
        return self._stream.eof

    def decompress(self, block: bytes) -> Iterator[bytes]:
        """
        Unpack a block, as blocks of bounded size.

        :raises ApimartDownloadError: If it isn't packed as was announced.
        """
        try:
            content = self._stream.decompress(block, _BLOCK)
            while content:
                yield content
                content = self._stream.decompress(self._stream.unconsumed_tail, _BLOCK)
        except zlib.error as error:
            raise ApimartDownloadError(f"it was announced as {self._encoding!r} and isn't: {error}") from None
