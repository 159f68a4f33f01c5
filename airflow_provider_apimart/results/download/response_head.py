"""What the head of a reply announces, and whether its body goes on where a download broke off. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from airflow_provider_apimart.api.retry import retry_after_seconds
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartError, ApimartRateLimitError
from airflow_provider_apimart.results.download.client import InterruptedDownloadError

# As many digits as any file has; int() refuses thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(rf"bytes ({_LENGTH.pattern})-({_LENGTH.pattern})/({_LENGTH.pattern}|\*)")
_PASSING = (408, 425, 500, 502, 503, 504)


@dataclass(frozen=True)
class ResponseHead:
    """
    What a reply says of the file.

    :param offset: The byte of the file with which the body begins, ``None`` if it is a part and doesn't say which.
    :param is_part: Whether the body is but a part of the file.
    :param total: How many bytes the file has, ``None`` if it doesn't say.
    :param validator: What tells this version of the file from another one, ``None`` if nothing does.
    :param media_type: What the file is said to be, or nothing.
    :param encoding: How the body is packed, or nothing.
    """

    offset: int | None = 0
    is_part: bool = False
    total: int | None = None
    validator: str | None = None
    media_type: str = ""
    encoding: str = ""

    def range_headers(self, position: int) -> dict[str, str]:
        """
        Return the headers that ask for the rest of the file, or none if only the whole of it can be asked for.

        :param position: How many bytes of it are there.
        """
        # Without a validator, the rest might be of another file; of a packed body, bytes of the file tell nothing.
        if not position or not self.validator or self.encoding:
            return {}
        return {"Range": f"bytes={position}-", "If-Range": self.validator}

    def continues(self, before: ResponseHead, position: int) -> bool:
        """
        Return whether the body is the rest of a file of which another reply brought the beginning.

        :param position: How many bytes of it are there.
        """
        same_size = self.total is None or before.total is None or self.total == before.total
        same_file = self.validator is None or self.validator == before.validator
        return self.offset == position and same_size and same_file


def read_response_head(status: int, headers: Mapping[str, str]) -> ResponseHead:
    """
    Return what the head of a reply announces.

    :raises ApimartDownloadError: If the file isn't there. The status tells more.
    :raises ApimartTransientError: If it may well be there in a moment.
    """
    if status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        return _part(headers)
    if status != HTTPStatus.OK:
        raise _failure(status, headers)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    length = headers.get("Content-Length", "")
    tells_size = _LENGTH.fullmatch(length) and "Transfer-Encoding" not in headers and encoding in ("", "identity")
    return ResponseHead(
        total=int(length) if tells_size else None,
        validator=_validator(headers),
        media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        encoding="" if encoding == "identity" else encoding,
    )


def _part(headers: Mapping[str, str]) -> ResponseHead:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if not found:
        return ResponseHead(offset=None, is_part=True)
    total = None if found[3] == "*" else int(found[3])
    return ResponseHead(offset=int(found[1]), is_part=True, total=total, validator=_validator(headers))


def _validator(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"'):
        return tag
    return headers.get("Last-Modified") or None


def _failure(status: int, headers: Mapping[str, str]) -> ApimartError:
    after = retry_after_seconds(headers.get("Retry-After"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ApimartRateLimitError("its host asks to be called less often", status=status, retry_after=after)
    if status in _PASSING:
        return InterruptedDownloadError("its host couldn't answer", status=status, retry_after=after)
    return ApimartDownloadError("its host didn't give it", status=status)
