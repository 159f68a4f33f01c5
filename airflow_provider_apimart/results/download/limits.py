"""How much, how long and how often to fetch."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.exceptions import ApimartResultRefusedError

MAX_FILE_BYTES = 5 * 1024**3
MAX_TOTAL_BYTES = 100 * 1024**3
DOWNLOAD_POLICY = RetryPolicy(tries=5, seconds=300.0, rate_limited_seconds=300.0, longest=20.0)


@dataclass(frozen=True)
class Limits:
    """
    What is allowed to the hosts of results, which are foreign.

    :param max_file_bytes: Size of one file; ``None`` for no cap.
    :param max_total_bytes: Size of all files of one saver together; ``None`` for no cap.
    :param connect_seconds: Until a connection stands, with TLS.
    :param silent_seconds: Without a single byte.
    :param head_seconds: Until the head of a reply is whole.
    :param pace_seconds: In any span of so many seconds,
    :param pace_bytes: so many bytes must arrive; otherwise the download counts as interrupted.
    :param redirects: Followed for one request.
    :param tries: Requests for one file, however much each of them brings. Those that bring nothing new are bounded
        by the policy, which is sooner.
    :param policy: How often and how patiently to try again after requests that brought nothing new.
    """

    max_file_bytes: int | None = MAX_FILE_BYTES
    max_total_bytes: int | None = MAX_TOTAL_BYTES
    connect_seconds: float = 10.0
    silent_seconds: float = 30.0
    head_seconds: float = 60.0
    pace_seconds: float = 60.0
    pace_bytes: int = 64 * 1024
    redirects: int = 5
    tries: int = 40
    policy: RetryPolicy = DOWNLOAD_POLICY

    def check_file(self, size: int) -> None:
        """
        Check the size of a file, announced or written.

        :raises ApimartResultRefusedError: If it is above the cap.
        """
        if self.max_file_bytes is not None and size > self.max_file_bytes:
            raise ApimartResultRefusedError(
                f"it has {size:,} bytes or more, and max_file_bytes allows {self.max_file_bytes:,}"
            )


class Allowance:
    """
    The bytes that all files of one saver may still take; safe to use from several threads.

    :param limit: Bytes altogether, ``None`` for no cap.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._lock = Lock()

    def take(self, size: int) -> None:
        """
        Take some bytes; a negative number gives them back.

        :raises ApimartResultRefusedError: If that is more than is left. Nothing is taken then.
        """
        with self._lock:
            if self._limit is not None and self._taken + size > self._limit:
                raise ApimartResultRefusedError(
                    f"with it, all files together have {self._taken + size:,} bytes or more, and max_total_bytes "
                    f"allows {self._limit:,}"
                )
            self._taken += size
