"""Limits of downloads: sizes, times and numbers of requests."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.exceptions import ApimartResultRefusedError

MAX_FILE_BYTES = 5 * 1024**3
MAX_TOTAL_BYTES = 100 * 1024**3
DOWNLOAD_POLICY = RetryPolicy(max_requests=7, seconds=300.0, rate_limited_seconds=300.0, longest=20.0)


@dataclass(frozen=True)
class Limits:
    """
    Limits for the hosts of results, which are foreign.

    :param max_file_bytes: Size of one file; ``None`` for no cap.
    :param max_total_bytes: Size of all files of one saver together; ``None`` for no cap.
    :param connect_seconds: Seconds for a connection to be established, with TLS.
    :param silent_seconds: Seconds without a single byte.
    :param head_seconds: Seconds for the head of a reply to be whole.
    :param pace_seconds: Length of the spans in each of which ``pace_bytes`` must arrive.
    :param pace_bytes: Bytes that must arrive in each span; a slower download counts as interrupted.
    :param redirects: Number of redirects followed for one request.
    :param max_requests: Number of requests for one file, whatever each of them brings.
    :param policy: Bounds the requests in a row that bring nothing new, and those for a URL that isn't there yet.
    """

    max_file_bytes: int | None = MAX_FILE_BYTES
    max_total_bytes: int | None = MAX_TOTAL_BYTES
    connect_seconds: float = 10.0
    silent_seconds: float = 30.0
    head_seconds: float = 60.0
    pace_seconds: float = 60.0
    pace_bytes: int = 64 * 1024
    redirects: int = 5
    max_requests: int = 40
    policy: RetryPolicy = DOWNLOAD_POLICY

    def check_file(self, size: int) -> None:
        """
        Check the size of a file.

        :raises ApimartResultRefusedError: If it is above ``max_file_bytes``.
        """
        if self.max_file_bytes is not None and size > self.max_file_bytes:
            raise ApimartResultRefusedError(
                f"it has {size:,} bytes or more, and max_file_bytes allows {self.max_file_bytes:,}"
            )


class Allowance:
    """
    The bytes that all files of one saver may still take. Several threads may use it at once.

    :param limit: Total bytes, ``None`` for no cap.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = Lock()

    def take(self, size: int) -> None:
        """
        Take some bytes; a negative number gives them back.

        :raises ApimartResultRefusedError: If more than is left is taken. Nothing is taken then.
        """
        with self._lock:
            if self._limit is not None and self._taken + size > self._limit:
                raise ApimartResultRefusedError(
                    f"with it, all files together have {self._taken + size:,} bytes or more, and max_total_bytes "
                    f"allows {self._limit:,}"
                )
            self._taken += size
