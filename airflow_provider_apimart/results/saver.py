"""Saver of results, shared by transfers, batches and generation operators. Several threads use one at once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airflow_provider_apimart.api.generation import Output
from airflow_provider_apimart.api.retry import Failures
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError
from airflow_provider_apimart.results.download.client import InterruptedDownloadError, Network, ResultClient
from airflow_provider_apimart.results.download.download import Download
from airflow_provider_apimart.results.download.incoming_file import IncomingFile
from airflow_provider_apimart.results.download.limits import Allowance, Limits
from airflow_provider_apimart.results.download.response_head import ResponseHead
from airflow_provider_apimart.results.expiry import GONE, gone_error, is_over, is_young, warning
from airflow_provider_apimart.results.media import extension
from airflow_provider_apimart.results.storage.kept_file import KeptFile, copy_kept
from airflow_provider_apimart.results.storage.open_destination import destination_at, destination_errors
from airflow_provider_apimart.results.storage.receipts import SavedFile, key_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SaveRequest:
    """
    Request to save one output.

    :param stem: The file's name by the template, without the extension; see
        :mod:`~airflow_provider_apimart.results.storage.file_names`.
    :param owner: The output's identity in receipts, such as the generation's id and the output's index. No two outputs
        may have the same: a file of the same owner that is there already isn't fetched again.
    :param generation_id: The generation, for error messages.
    :param completed: The time at which it was completed, if known.
    :param ask_again: Returns the output as APIMart has it now, whose URL may be newer.
    """

    output: Output
    stem: str
    owner: str
    generation_id: str | None = None
    completed: datetime | None = None
    ask_again: Callable[[], Output | None] = lambda: None


class ResultSaver:
    """
    Saver of results into one destination, each whole or not at all, under a name of its own.

    It blocks. Several threads may use it at once. Closing it ends running downloads with an error.

    :param destination: A directory on this machine, or any URI of Airflow's object storage. It is made if needed.
    :param network: The network to the hosts of results; see
        :func:`~airflow_provider_apimart.results.download.client.network_of`.
    :param limits: The limits of downloads.
    :param threads: The number of threads that save at once.
    :raises ApimartDestinationError: If the destination can't be written.
    """

    def __init__(
        self,
        destination: str | ObjectStoragePath,
        *,
        network: Network | None = None,
        limits: Limits | None = None,
        threads: int = 8,
    ) -> None:
        self._destination = str(destination)
        self._limits = limits or Limits()
        self._allowance = Allowance(self._limits.max_total_bytes)
        self._client = ResultClient(network or Network(), self._limits, threads)
        # Its threads end with this object: a stopped download may still be handing over its last block.
        self._executor = ThreadPoolExecutor(threads, "apimart-write")
        with destination_errors(self._destination):
            self._files = destination_at(destination)
            self._files.recover()

    def __enter__(self) -> Self:
        """Return the saver."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the saver."""
        self.close()

    def close(self) -> None:
        """Stop running downloads and close all connections."""
        self._client.close()

    def save(self, request: SaveRequest) -> SavedFile:
        """
        Fetch one output and save it.

        Its name may differ from the requested one: a name that another output or a foreign file has is never
        taken, and gets a digest of the owner added.

        :raises ApimartResultExpiredError: If the URL is over.
        :raises ApimartResultRefusedError: If the file may not be fetched or is too large.
        :raises ApimartDownloadError: If it couldn't be fetched whole, or is no image, video or audio.
        :raises ApimartDestinationError: If it couldn't be written.
        """
        try:
            return self._found(request) or self._fetched(request)
        except ApimartError as error:
            error.generation_id = error.generation_id or request.generation_id
            raise

    def copy(self, kept: KeptFile, stem: str, owner: str) -> SavedFile:
        """
        Save a copy of a file that was saved earlier. The limits of downloads don't count for it.

        :param stem: The copy's name by the template, without the extension.
        :param owner: The output's identity in receipts.
        :raises KeptFileLostError: If the file isn't what was saved.
        :raises ApimartDestinationError: If the copy couldn't be written.
        """
        with destination_errors(self._destination):
            return copy_kept(self._files, kept, stem, owner)

    def _found(self, request: SaveRequest) -> SavedFile | None:
        """Return the output's file if it is there already, by its receipt."""
        with destination_errors(self._destination):
            file = self._files.find(request.stem, request.owner)
        if file:
            self._allowance.take(file.bytes)
        return file

    def _fetched(self, request: SaveRequest) -> SavedFile:
        """Fetch an output, again for a while if its URL may be too young to work."""
        if text := warning(request.output, datetime.now(UTC)):
            log.warning("%s", text)
        began, failures = time.monotonic(), Failures()
        while True:
            try:
                return self._fetched_from_any_url(request)
            except ApimartDownloadError as error:
                if error.status not in GONE or not is_young(request.output, request.completed, datetime.now(UTC)):
                    raise
                trouble = InterruptedDownloadError(error.message, status=error.status)
                failures = failures.after(trouble, time.monotonic() - began)
                seconds = self._limits.policy.pause_after(trouble, failures, random.random())
                if seconds is None:
                    raise
            log.info("%s isn't there yet. Retrying in %.1f s", request.output.url, seconds)
            self._client.pause(seconds)

    def _fetched_from_any_url(self, request: SaveRequest) -> SavedFile:
        gone = ApimartDownloadError(f"{request.output.url or 'The inline result'} can't be fetched")
        for output in _outputs(request):
            try:
                return self._fetch(output, request)
            except ApimartDownloadError as error:
                if error.status not in GONE:
                    raise
                gone = error
        if request.output.is_inline:
            raise ApimartDownloadError(
                "The result came inside APIMart's reply instead of at a URL, and APIMart doesn't give it again"
            )
        raise gone_error(request.output, gone, datetime.now(UTC)) from gone

    def _fetch(self, output: Output, request: SaveRequest) -> SavedFile:
        with destination_errors(self._destination), self._files.staging.new_file(key_of(request.stem)) as staged:
            incoming = IncomingFile(staged, self._limits, self._allowance, self._executor)
            try:
                if output.content is None:
                    Download(self._client, output.url, incoming, self._limits).run()
                else:
                    _take_inline(output.content, incoming)
            except ApimartDownloadError as error:
                name = output.url or "The inline result"
                raise type(error)(f"{name} can't be saved: {error.message}", status=error.status) from error
            file = SavedFile("", incoming.size, incoming.sha256, incoming.media_type)
            return self._files.commit(staged, request.stem, extension(file.media_type), file, request.owner)


def _take_inline(content: bytes, incoming: IncomingFile) -> None:
    try:
        incoming.expect(ResponseHead(total=len(content)))
        incoming.take(content)
        incoming.finish()
    except BaseException:
        incoming.discard()
        raise


def _outputs(request: SaveRequest) -> Iterator[Output]:
    """Go through the outputs to try: the known one, and the one that APIMart has now if the known one is over."""
    output = request.output
    is_known = output.content is not None or bool(output.url)
    over = is_over(output, datetime.now(UTC))
    if is_known and not over:
        yield output
    newer = request.ask_again()
    if newer and (newer.content is not None or newer.url != output.url):
        yield newer
    if is_known and over:
        # It may live longer than its record says.
        yield output
