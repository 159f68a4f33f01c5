"""A file as it arrives: what is there of it is counted, hashed, judged by its first bytes, and written."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import BinaryIO

from airflow_provider_apimart.api.media_type import HEAD_BYTES
from airflow_provider_apimart.results.download.client import InterruptedDownloadError
from airflow_provider_apimart.results.download.decompressor import Decompressor
from airflow_provider_apimart.results.download.limits import Allowance, Limits
from airflow_provider_apimart.results.download.response_head import ResponseHead
from airflow_provider_apimart.results.media import accepted_media_type
from airflow_provider_apimart.results.storage.hashing_writer import HashingWriter


class IncomingFile:
    """
    One file on its way. When it is whole, ``size``, ``sha256`` and ``media_type`` tell of it.

    :param file: Where it is written, an empty file.
    :param limits: How large it may get.
    :param allowance: What all files together may still take.
    :param executor: Where it is hashed and written while it arrives.
    """

    def __init__(self, file: BinaryIO, limits: Limits, allowance: Allowance, executor: Executor) -> None:
        self._sink = HashingWriter(file, executor)
        self._limits = limits
        self._allowance = allowance
        self._announced = ResponseHead()
        self._begin()

    def _begin(self) -> None:
        self.size = 0
        self.sha256 = ""
        self.media_type = ""
        self._received = 0
        self._head = b""
        self._decompressor: Decompressor | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers to ask with for what is still missing."""
        return self._announced.range_headers(self._received)

    def expect(self, announced: ResponseHead) -> None:
        """
        Prepare for a body: go on, or start again if it is the whole file.

        :raises InterruptedDownloadError: If it is neither. Then everything has to be asked for again.
        :raises ApimartResultRefusedError: If it will be too large.
        """
        if announced.is_part:
            self._check_rest(announced)
            return
        self._limits.check_file(announced.total or 0)
        self.discard()
        self._announced = announced
        self._decompressor = Decompressor(announced.encoding) if announced.encoding else None

    def _check_rest(self, announced: ResponseHead) -> None:
        if not announced.continues(self._announced, self._received):
            self.discard()
            raise InterruptedDownloadError("its host sent another part of it than was asked for")

    def discard(self) -> None:
        """Forget what has arrived."""
        self._sink.restart()
        self._allowance.take(-self.size)
        self._announced = ResponseHead()
        self._begin()

    def take(self, block: bytes) -> None:
        """
        Take a block of the body.

        :raises ApimartDownloadError: If the file is no picture, clip or sound, or too large.
        """
        self._received += len(block)
        for content in self._decompressor.decompress(block) if self._decompressor else (block,):
            if self.media_type:
                self._write(content)
            else:
                self._judge(content)

    def finish(self) -> None:
        """
        End the body; what has arrived is written and hashed then.

        :raises InterruptedDownloadError: If that is not the whole file.
        """
        if self._announced.total is not None and self._received < self._announced.total:
            raise InterruptedDownloadError(f"it ended after {self._received:,} of {self._announced.total:,} bytes")
        if self._decompressor and not self._decompressor.at_end:
            raise InterruptedDownloadError("it is packed and ended early")
        if not self.media_type:
            self._judge(b"", at_end=True)
        self.sha256 = self._sink.finish()

    def _judge(self, content: bytes, *, at_end: bool = False) -> None:
        self._head += content
        if len(self._head) < HEAD_BYTES and not at_end:
            return
        if not self._head:
            raise InterruptedDownloadError("it is empty")
        self.media_type = accepted_media_type(self._head[:HEAD_BYTES], self._announced.media_type)
        head, self._head = self._head, b""
        self._write(head)

    def _write(self, content: bytes) -> None:
        self._limits.check_file(self.size + len(content))
        self._allowance.take(len(content))
        self.size += len(content)
        self._sink.take(content)
