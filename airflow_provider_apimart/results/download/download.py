"""Download of one file: requested again from where it broke off, until it is whole or the policy gives up."""

from __future__ import annotations

import logging
import random
import time

from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.api.retry import Failures
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError, ApimartTransientError
from airflow_provider_apimart.results.download.client import InterruptedDownloadError, ResultClient
from airflow_provider_apimart.results.download.incoming_file import IncomingFile
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.download.response_head import read_response_head

log = logging.getLogger(__name__)


class ThroughputCheck:
    """Check that enough bytes of a download arrive."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._arrived = 0

    def add(self, size: int) -> None:
        """
        Count bytes that arrived.

        :raises InterruptedDownloadError: If they are too few for the time.
        """
        self._arrived += size
        elapsed = time.monotonic() - self._since
        if elapsed < self._limits.pace_seconds:
            return
        if self._arrived < self._limits.pace_bytes:
            raise InterruptedDownloadError(f"only {self._arrived:,} bytes of it arrived in {elapsed:.0f} s")
        self._since, self._arrived = time.monotonic(), 0


class Download:
    """The download of one file from one URL."""

    def __init__(self, client: ResultClient, url: str, incoming_file: IncomingFile, limits: Limits) -> None:
        self._client = client
        self._url = url
        self._incoming_file = incoming_file
        self._limits = limits

    def run(self) -> None:
        """
        Request the file until it is whole.

        :raises ApimartDownloadError: If the policy gave up. The allowance has its bytes back then.
        """
        try:
            self._run()
        except BaseException:
            self._incoming_file.discard()
            raise

    def _run(self) -> None:
        began, failures, furthest = time.monotonic(), Failures(), 0
        for requests_left in reversed(range(self._limits.max_requests)):
            try:
                return self._try()
            except ApimartTransientError as error:
                if self._incoming_file.size > furthest:
                    # After progress, the count starts again.
                    began, failures, furthest = time.monotonic(), Failures(), self._incoming_file.size
                failures = self._pause(error, failures.after(error, time.monotonic() - began), requests_left)
        return None

    def _try(self) -> None:
        with self._client.get(self._url, self._incoming_file.headers()) as response:
            self._incoming_file.expect(read_response_head(response.status, response.headers))
            throughput = ThroughputCheck(self._limits)
            for block in self._client.blocks(response):
                self._incoming_file.take(block)
                throughput.add(len(block))
            self._incoming_file.finish()

    def _pause(self, error: ApimartError, failures: Failures, requests_left: int) -> Failures:
        seconds = self._limits.policy.pause_after(error, failures, random.random()) if requests_left else None
        if seconds is None:
            raise ApimartDownloadError(error.message, status=error.status) from error
        log.info(
            "%s: %s. Retrying in %.1f s, from byte %d",
            without_query(self._url),
            error,
            seconds,
            self._incoming_file.size,
        )
        self._client.pause(seconds)
        return failures.after_pause(error, seconds)
