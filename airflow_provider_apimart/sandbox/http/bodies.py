"""Bodies of requests and replies: the file of a multipart upload, and byte ranges of a public file."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import BodyPartReader, web

from airflow_provider_apimart.sandbox.service.replies import Reply, refusal
from airflow_provider_apimart.sandbox.service.validation import MAX_UPLOAD


def ranged(request: web.Request, reply: Reply) -> Reply:
    """Return the requested range of a reply."""
    whole = reply.with_headers(Accept_Ranges="bytes")
    if "Range" not in request.headers:
        return whole
    size = len(reply.body)
    try:
        start, stop, _ = request.http_range.indices(size)
    except ValueError:
        start = stop = size
    if start >= stop:
        return Reply(416, b"", headers={"Content-Range": f"bytes */{size}"})
    part = replace(whole, status=206, body=reply.body[start:stop])
    return part.with_headers(Content_Range=f"bytes {start}-{stop - 1}/{size}")


async def read_file(request: web.Request) -> tuple[str, bytes, int]:
    """Return name, content and size of the part ``file``; content above the limit is counted, not kept."""
    if not request.content_type.startswith("multipart/"):
        raise refusal("file_missing", "missing or invalid file field: request Content-Type isn't multipart/form-data")
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name != "file" or part.filename is None:
                continue
            return part.filename, *(await _read_part(part))
    except ValueError as error:
        raise refusal("file_missing", f"missing or invalid file field: {error}") from None
    raise refusal("file_missing")


async def _read_part(part: BodyPartReader) -> tuple[bytes, int]:
    content, size = bytearray(), 0
    while chunk := await part.read_chunk(65_536):
        size += len(chunk)
        if size <= MAX_UPLOAD:
            content += chunk
    return bytes(content), size
