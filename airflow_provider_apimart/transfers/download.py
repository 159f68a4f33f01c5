"""Fetching a result from its public, temporary URL."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import Output
from airflow_provider_apimart.api.media_type import HEAD_BYTES, media_type
from airflow_provider_apimart.api.problem import root_reason
from airflow_provider_apimart.hooks.connection import USER_AGENT

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_BLOCK = 1024 * 1024
_CONNECT_AND_READ_SECONDS = (10.0, 60.0)
_MOST_REDIRECTS = 5
_GONE = (401, 403, 404, 410)
_MEDIA = ("image/", "video/", "audio/")

log = logging.getLogger(__name__)


class ResultDownloader:
    """
    Saves results into one directory, with a bare HTTP session that knows no API key.

    :param destination: The directory; it is made if need be.
    """

    def __init__(self, destination: ObjectStoragePath) -> None:
        self._destination = destination
        self._session = requests.Session()
        # No .netrc: its credentials are for other purposes.
        self._session.trust_env = False
        self._session.proxies = getproxies()
        self._session.max_redirects = _MOST_REDIRECTS
        self._session.headers["User-Agent"] = USER_AGENT

    def save(self, output: Output, stem: str) -> str:
        """
        Fetch one output and return the URI under which it lies.

        :param stem: Name of the file without its ending, which follows from the content.
        :raises ApimartResultExpiredError: If the URL is over.
        :raises ApimartDownloadError: If it couldn't be fetched whole, or is no picture, clip or sound.
        """
        self._destination.mkdir(parents=True, exist_ok=True)
        partial = self._destination / f".{_safe(stem)}.part"
        try:
            with self._open(output) as response:
                ending = self._write(response, partial, output)
            final = self._destination / f"{_safe(stem)}{ending}"
            partial.replace(final)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        return str(final)

    @contextmanager
    def _open(self, output: Output) -> Iterator[requests.Response]:
        try:
            with self._session.get(output.url, stream=True, timeout=_CONNECT_AND_READ_SECONDS) as response:
                if response.status_code in _GONE and _is_over(output):
                    raise _expired(output, response.status_code)
                response.raise_for_status()
                yield response
        except requests.RequestException as error:
            raise errors.ApimartDownloadError(
                f"{output.url} couldn't be fetched: {root_reason(error)}. A retry fetches it again"
            ) from error

    def _write(self, response: requests.Response, partial: ObjectStoragePath, output: Output) -> str:
        """Write the content to the partial file and return the ending that its first bytes tell."""
        ending: str | None = None
        with partial.open("wb") as file:
            for block in response.iter_content(_BLOCK):
                ending = ending or _ending(block, output, response.headers.get("Content-Type", ""))
                file.write(block)
        if ending is None:
            raise errors.ApimartDownloadError(f"{output.url} is empty. A retry fetches it again")
        return ending


def _is_over(output: Output) -> bool:
    return output.expires_at is not None and output.expires_at <= datetime.now(UTC)


def _expired(output: Output, status: int) -> errors.ApimartResultExpiredError:
    return errors.ApimartResultExpiredError(
        f"{output.url} is over since {output.expires_at} and can't be renewed", status=status
    )


def _ending(head: bytes, output: Output, announced: str) -> str:
    """Return the ending that follows from the content, or else from what the server or the URL says it is."""
    found = media_type(head[:HEAD_BYTES])
    if found is None:
        announced = announced.partition(";")[0].strip().lower()
        found = announced if announced.startswith(_MEDIA) else None
    if found and not found.startswith(_MEDIA):
        raise errors.ApimartDownloadError(f"{output.url} holds {found}, not a picture, clip or sound; it was not saved")
    if found is None:
        log.warning("%s holds data of an unknown kind; it is saved as it is", output.url)
        return _ending_of_url(output.url)
    return mimetypes.guess_extension(found) or f".{found.partition('/')[2]}"


def _ending_of_url(url: str) -> str:
    suffix = PurePosixPath(urlsplit(url).path).suffix
    return suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", suffix) else ".bin"


def _safe(stem: str) -> str:
    """Return a name that can't leave its directory, whatever a server has put into an id."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:200] or "result"
