"""Serving of result files, which are addressed by entry, item and number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse

from airflow_provider_apimart.api.media_type import MEDIA_PREFIXES, media_type
from airflow_provider_apimart.plugin.items import File
from airflow_provider_apimart.plugin.ranges import UnsatisfiableRangeError, is_current, part_of
from airflow_provider_apimart.plugin.storage import NotReadableError, Source, opened
from airflow_provider_apimart.plugin.threads import in_file_thread

_HEAD_BYTES = 4096
CACHED = {"Cache-Control": "private, max-age=600", "Vary": "Cookie, Authorization"}
"""Headers of what may be kept for one user for a while."""
_BLOCK_BYTES = 512 * 1024
# An SVG may hold scripts, and everything else is nobody's page: opened by itself, a file may do nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox"


@dataclass
class OpenFile:
    """
    A file that may be shown.

    :param media_type: Its type, judged by its first bytes.
    """

    file: File
    source: Source
    media_type: str
    _stack: ExitStack

    def close(self) -> None:
        """Close it."""
        self._stack.close()


def open_file(file: File, folder: str | None) -> OpenFile:
    """
    Open a file, to be closed by the caller.

    :param folder: The directory in which it must be.
    :raises NotReadableError: If it may not be read, isn't there, or is no image, video or audio.
    """
    with ExitStack() as stack:
        source = stack.enter_context(opened(file.uri, folder))
        head = source.read(0, _HEAD_BYTES)
        found = media_type(head)
        if found is None or not found.startswith(MEDIA_PREFIXES):
            raise NotReadableError("The file is no image, video or audio")
        return OpenFile(file, source, found, stack.pop_all())


def response_of(opened_file: OpenFile, headers: Mapping[str, str], *, with_content: bool) -> Response:
    """
    Return the answer to a request for a file, which closes it.

    :param headers: The headers of the request, with names in lower case.
    :param with_content: Whether the method is ``GET`` and not ``HEAD``.
    """
    size, tag = opened_file.source.size, _tag(opened_file)
    said = {
        **CACHED,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": _POLICY,
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(opened_file.file.name, safe='')}",
        "ETag": tag,
    }
    if is_current(headers.get("if-none-match"), tag):
        opened_file.close()
        return Response(status_code=304, headers=said)
    # A weak tag doesn't promise the same bytes.
    is_same = "if-range" not in headers or (headers["if-range"] == tag and not tag.startswith("W/"))
    asked = headers.get("range") if is_same else None
    try:
        part = part_of(asked, size)
    except UnsatisfiableRangeError:
        opened_file.close()
        return Response(status_code=416, headers=said | {"Content-Range": f"bytes */{size}"})
    start, length = (part.start, part.length) if part else (0, size)
    said |= {"Content-Length": str(length)} | ({"Content-Range": part.content_range} if part else {})
    status = 206 if part else 200
    if not with_content:
        opened_file.close()
        return Response(status_code=status, headers=said, media_type=opened_file.media_type)
    content = _blocks(opened_file, start, length)
    return StreamingResponse(content, status_code=status, headers=said, media_type=opened_file.media_type)


async def _blocks(opened_file: OpenFile, start: int, length: int) -> AsyncIterator[bytes]:
    try:
        while length > 0:
            block = await in_file_thread(opened_file.source.read, start, min(_BLOCK_BYTES, length))
            if not block:
                return
            start, length = start + len(block), length - len(block)
            yield block
    finally:
        opened_file.close()


def _tag(opened_file: OpenFile) -> str:
    known = opened_file.file.sha256
    is_plain = known is not None and known.isascii() and known.isalnum()
    return f'"{known[:32]}-{opened_file.source.size}"' if known and is_plain else f'W/"{opened_file.source.size}"'
