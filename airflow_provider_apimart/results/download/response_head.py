"""Response headers: facts about a file and its resumption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.retry import retry_after_seconds
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError, ApimartRateLimitError
from airflow_provider_apimart.results.download.client import InterruptedDownloadError

# As many digits as any file has; int() refuses thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(rf"bytes ({_LENGTH.pattern})-({_LENGTH.pattern})/({_LENGTH.pattern}|\*)")
_TRANSIENT = (408, 425, 500, 502, 503, 504)


@dataclass(frozen=True)
class ResponseHead:
    """
    The facts about a file in the head of a reply.

    :param offset: The byte of the file with which the body begins, ``None`` for a part that doesn't say which.
    :param is_part: Whether the reply is a ``206``: its body may be a part of the file.
    :param total: The bytes of the whole file as it is sent, ``None`` if the head doesn't say.
    :param has_end: Whether the connection shows the end of the body: by a length, or by a last chunk.
    :param etag: The strong ``ETag``, which no other version of the file has; ``None`` if there is none.
    :param media_type: The ``Content-Type`` without parameters, or empty.
    :param encoding: The ``Content-Encoding``, or empty.
    """

    offset: int | None = 0
    is_part: bool = False
    total: int | None = None
    has_end: bool = True
    etag: str | None = None
    media_type: str = ""
    encoding: str = ""

    def range_headers(self, position: int) -> dict[str, str]:
        """
        Return the headers that ask for the rest of the file, none if only the whole of it can be asked for.

        :param position: The number of bytes that have arrived.
        """
        # Without a strong ETag, the rest might be of another version.
        if not position or not self.etag:
            return {}
        return {"Range": f"bytes={position}-", "If-Range": self.etag}

    def continues(self, first: ResponseHead, position: int) -> bool:
        """
        Return whether the body is the rest of a file whose beginning has arrived.

        :param first: The head of the reply that brought the beginning.
        :param position: The number of bytes that have arrived.
        """
        totals = {self.total, first.total} - {None}
        # Of two totals one is wrong, and without any the end can't be known.
        return self.offset == position and len(totals) == 1 and self.etag is not None and self.etag == first.etag

    @property
    def begins_file(self) -> bool:
        """Whether the body begins with the file's first byte, and the file's end can be known."""
        return self.offset == 0 and (self.total is not None or not self.is_part)

    def with_total(self, total: int | None) -> ResponseHead:
        """Return the head with a total that another reply named, unless it has one."""
        return self if total is None or self.total is not None else replace(self, total=total)


def read_response_head(status: int, headers: Mapping[str, str]) -> ResponseHead:
    """
    Return the facts in the head of a reply.

    :raises ApimartDownloadError: If the file isn't there; see the error's ``status``.
    :raises ApimartTransientError: If another request may bring it.
    """
    is_part = status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
    if not is_part and status != HTTPStatus.OK:
        raise _failure(status, headers)
    offset, total = _range(headers) if is_part else (0, _length(headers))
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return ResponseHead(
        offset=offset,
        is_part=is_part,
        total=total,
        has_end=total is not None or "Transfer-Encoding" in headers,
        etag=_strong_etag(headers),
        media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        encoding="" if encoding == "identity" else encoding,
    )


def _range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the offset and the total that a ``Content-Range`` names."""
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found:
        return None, None
    return int(found[1]), None if found[3] == "*" else int(found[3])


def _length(headers: Mapping[str, str]) -> int | None:
    # Several headers are one with commas; urllib3 refuses different values.
    length = headers.get("Content-Length", "").partition(",")[0].strip()
    return int(length) if _LENGTH.fullmatch(length) and "Transfer-Encoding" not in headers else None


def _strong_etag(headers: Mapping[str, str]) -> str | None:
    # A Last-Modified has whole seconds: a file may change twice within one.
    etag = headers.get("ETag", "").strip()
    return etag if etag.startswith('"') else None


def _failure(status: int, headers: Mapping[str, str]) -> ApimartError:
    after = retry_after_seconds(headers.get(contract.RETRY_AFTER_HEADER))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ApimartRateLimitError("its host asks for fewer requests", status=status, retry_after=after)
    if status in _TRANSIENT:
        return InterruptedDownloadError("its host failed", status=status, retry_after=after)
    return ApimartDownloadError("its host doesn't have it", status=status)
