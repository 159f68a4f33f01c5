"""The engine that saves results: one for the transfer, one for each batch, used by several threads at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from airflow_provider_apimart.api.generation import Output
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError
from airflow_provider_apimart.results.download.client import Network, ResultClient
from airflow_provider_apimart.results.download.download import Download
from airflow_provider_apimart.results.download.incoming_file import IncomingFile
from airflow_provider_apimart.results.download.limits import Allowance, Limits
from airflow_provider_apimart.results.expiry import GONE, gone_error, is_over, warning
from airflow_provider_apimart.results.media import extension
from airflow_provider_apimart.results.storage.destination import destination_at, destination_errors
from airflow_provider_apimart.results.storage.receipts import Receipt, key_of
from airflow_provider_apimart.results.storage.saved_file import SavedFile

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)


class ResultSaver:
    """
    Saves results into one destination, whole or not at all, with a bare HTTP session that knows no API key.

    Several threads may save at once; it blocks. Closing it ends what is still being fetched with an error.

    :param destination: A directory on this machine, or any URI of Airflow's object storage. It is made if need be.
    :param network: How the hosts of results are reached; see
        :func:`~airflow_provider_apimart.results.download.client.network_of`.
    :param limits: How much, how long and how often to fetch.
    :param threads: How many of them save at once; so many connections to a host are kept.
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
        self._session = ResultClient(network or Network(), self._limits, threads)
        # Its threads end with this object: what is stopped may still be handing over its last block.
        self._executor = ThreadPoolExecutor(threads, "apimart-write")
        with destination_errors(self._destination):
            self._files = destination_at(destination)
            self._files.recover()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop what is still being fetched and close all connections."""
        self._session.close()

    def save(
        self,
        output: Output,
        stem: str,
        *,
        generation_id: str | None = None,
        owner: str | None = None,
        ask_again: Callable[[], Output | None] = lambda: None,
    ) -> SavedFile:
        """
        Fetch one output and let it lie at the destination.

        :param stem: Its name there without the ending, which follows from its first bytes. Make it safe with
            :mod:`~airflow_provider_apimart.results.storage.file_names`; no two threads may save under the same.
        :param generation_id: For messages.
        :param owner: Whose file it is, such as the generation's id and the output's index. With it, a receipt is kept
            beside the files, and a file of the same owner that lies there already isn't fetched again. ``None`` for
            whoever keeps account itself.
        :param ask_again: Called once if the URL is over or answers that it is; returns the output as APIMart tells of
            it now, whose URL may be newer.
        :raises ApimartResultExpiredError: If the URL is over.
        :raises ApimartResultRefusedError: If it may not be fetched or is too large.
        :raises ApimartDownloadError: If it couldn't be fetched whole, or is no picture, clip or sound.
        :raises ApimartDestinationError: If it couldn't be written.
        """
        try:
            return self._found(stem, owner) or self._fetched(output, stem, owner, ask_again)
        except ApimartError as error:
            error.generation_id = error.generation_id or generation_id
            raise

    def _found(self, stem: str, owner: str | None) -> SavedFile | None:
        """Return the file of an owner if it lies there already, by its receipt."""
        if owner is None:
            return None
        with destination_errors(self._destination):
            receipt = self._files.receipt(key_of(stem))
            if receipt is None or receipt.owner != owner or self._files.size(receipt.name) != receipt.file.bytes:
                return None
        self._allowance.take(receipt.file.bytes)
        return receipt.file

    def _fetched(
        self, output: Output, stem: str, owner: str | None, ask_again: Callable[[], Output | None]
    ) -> SavedFile:
        """Fetch an output from the first of its URLs that isn't over."""
        if told := warning(output, datetime.now(UTC)):
            log.warning("%s", told)
        gone = ApimartDownloadError(f"{output.url} can't be fetched")
        for url in _urls(output, ask_again):
            try:
                return self._fetch(url, stem, owner)
            except ApimartDownloadError as error:
                if error.status not in GONE:
                    raise
                gone = error
        raise gone_error(output, gone, datetime.now(UTC)) from gone

    def _fetch(self, url: str, stem: str, owner: str | None) -> SavedFile:
        with destination_errors(self._destination), self._files.staging.new_file(key_of(stem)) as staged:
            incoming_file = IncomingFile(staged, self._limits, self._allowance, self._executor)
            try:
                Download(self._session, url, incoming_file, self._limits).run()
            except ApimartDownloadError as error:
                raise type(error)(f"{url} can't be saved: {error.message}", status=error.status) from error
            return self._land(staged, incoming_file, stem, owner)

    def _land(self, staged: BinaryIO, incoming_file: IncomingFile, stem: str, owner: str | None) -> SavedFile:
        name = stem + extension(incoming_file.media_type)
        file = SavedFile(self._files.uri(name), incoming_file.size, incoming_file.sha256, incoming_file.media_type)
        receipt = None if owner is None else Receipt(key_of(stem), owner, name, file)
        self._files.commit(staged, name, file, receipt)
        return file


def _urls(output: Output, ask_again: Callable[[], Output | None]) -> Iterator[str]:
    """Go through the URLs to try: the one that is known, and the one that APIMart tells of when it is over."""
    over = is_over(output, datetime.now(UTC))
    if not over:
        yield output.url
    newer = ask_again()
    if newer and newer.url != output.url:
        yield newer.url
    if over:
        # It may live longer than was said.
        yield output.url
