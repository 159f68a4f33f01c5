"""Incoming file: a file while it arrives, counted, hashed, judged by its first bytes, and written."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import BinaryIO

from airflow_provider_apimart.api.media_type import HEAD_BYTES
from airflow_provider_apimart.exceptions import ApimartTransientError
from airflow_provider_apimart.results.download.client import InterruptedDownloadError
from airflow_provider_apimart.results.download.decompressor import Decompressor
from airflow_provider_apimart.results.download.file_end import FileEnd
from airflow_provider_apimart.results.download.limits import Allowance, Limits
from airflow_provider_apimart.results.download.response_head import ResponseHead
from airflow_provider_apimart.results.media import accepted_media_type
from airflow_provider_apimart.results.storage.hashing_writer import HashingWriter


class IncomingFile:
    """
    One file while it arrives. ``size``, ``sha256`` and ``media_type`` describe it once it is whole.

    :param file: An empty file to write to.
    :param limits: The cap on its size.
    :param allowance: The bytes that all files together may still take.
    :param executor: The threads that hash and write while it arrives.
    """

    def __init__(self, file: BinaryIO, limits: Limits, allowance: Allowance, executor: Executor) -> None:
        self._writer = HashingWriter(file, executor)
        self._limits = limits
        self._allowance = allowance
        self._end = FileEnd()
        self._begin()

    def _begin(self) -> None:
        self.size = 0
        self.sha256 = ""
        self.media_type = ""
        self._received = 0
        self._start = b""
        self._end.restart()
        self._head = ResponseHead()
        self._decompressor = Decompressor("")

    def headers(self) -> dict[str, str]:
        """Return the request headers that ask for the rest of the file."""
        return self._head.range_headers(self._received)

    def expect(self, head: ResponseHead) -> None:
        """
        Prepare for a body: continue, or start again if it begins with the file's first byte.

        :raises InterruptedDownloadError: If it does neither. Everything has to be asked for again then.
        :raises ApimartResultRefusedError: If the file will be too large.
        """
        if self._received and head.is_part and head.continues(self._head, self._received):
            self._head = self._head.with_total(head.total)
            return
        was_resumed = self._received > 0
        self.discard()
        if not head.begins_file or (head.is_part and was_resumed):
            raise InterruptedDownloadError("its host sent another part than was asked for")
        self._limits.check_file(head.total or 0)
        self._head = head
        self._decompressor = Decompressor(head.encoding)

    def discard(self) -> None:
        """Forget everything that has arrived."""
        self._writer.restart()
        self._allowance.take(-self.size)
        self._begin()

    def take(self, block: bytes) -> None:
        """
        Take a block of the body.

        :raises ApimartDownloadError: If the file is no image, video or audio, or too large.
        """
        self._received += len(block)
        for content in self._decompressor.decompress(block):
            self._take_content(content)

    def finish(self) -> None:
        """
        End the body. The file is written and hashed afterwards.

        :raises InterruptedDownloadError: If that is not the whole file.
        """
        total = self._head.total
        if total is not None and self._received < total:
            raise InterruptedDownloadError(f"it ended after {self._received:,} of {total:,} bytes")
        if total is not None and self._received > total:
            message = f"it has {self._received:,} bytes instead of {total:,}"
            self.discard()
            raise InterruptedDownloadError(message)
        for content in self._decompressor.finish():
            self._take_content(content)
        if not self._decompressor.at_end:
            raise InterruptedDownloadError("it is compressed and ended early")
        if not self.media_type:
            self._judge()
        if not self._head.has_end:
            self._check_end()
        self.sha256 = self._writer.finish()

    def _check_end(self) -> None:
        try:
            self._end.check(self.media_type)
        except ApimartTransientError as error:
            self.discard()
            raise InterruptedDownloadError(error.message) from None

    def _take_content(self, content: bytes) -> None:
        if self.media_type:
            self._write(content)
            return
        self._start += content
        if len(self._start) >= HEAD_BYTES:
            self._judge()

    def _judge(self) -> None:
        if not self._start:
            raise InterruptedDownloadError("it is empty")
        self.media_type = accepted_media_type(self._start[:HEAD_BYTES], self._head.media_type)
        start, self._start = self._start, b""
        self._write(start)

    def _write(self, content: bytes) -> None:
        self._limits.check_file(self.size + len(content))
        self._allowance.take(len(content))
        self.size += len(content)
        if not self._head.has_end:
            self._end.take(content)
        self._writer.take(content)
