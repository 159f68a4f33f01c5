"""Upload of a reference image: check of the file, streamed request and reply."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import quote

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.error_mapping import find_error_reply, free_call_error
from airflow_provider_apimart.api.flow import Flow, ask, retrying
from airflow_provider_apimart.api.http_messages import Content, Reply, Request, RequestKind
from airflow_provider_apimart.api.json_values import mapping, moment, number, plain, text
from airflow_provider_apimart.api.media_type import ACCEPTED_REFERENCES, HEAD_BYTES, media_type
from airflow_provider_apimart.api.retry import RetryPolicy

UPLOAD_POLICY = RetryPolicy(max_requests=6, seconds=300.0)


@dataclass(frozen=True)
class ImageFile:
    """
    An image file, wherever it is stored. It can be opened more than once.

    :param name: Its name as the user wrote it, for messages.
    :param filename: The last part of its name, which is sent with it.
    :param size: Its size in bytes.
    :param open: Opens it for reading from its beginning.
    """

    name: str
    filename: str
    size: int
    open: Callable[[], BinaryIO]

    def judged_type(self) -> str:
        """
        Return the media type by the file's first bytes, whatever its name.

        :raises ApimartInvalidRequestError: If APIMart does not accept it, with the type found and the types allowed.
        """
        if self.size == 0:
            raise errors.ApimartInvalidRequestError(f"The image {self.name} is empty. Nothing was uploaded")
        if self.size > contract.MAX_UPLOAD_BYTES:
            raise errors.ApimartInvalidRequestError(
                f"The image {self.name} has {self.size:,} bytes; at most {contract.MAX_UPLOAD_BYTES:,} bytes (20 MB) "
                "are allowed. Nothing was uploaded. Make it smaller"
            )
        with self.open() as file:
            found = media_type(file.read(HEAD_BYTES))
        if found not in ACCEPTED_REFERENCES:
            raise errors.ApimartInvalidRequestError(
                f"The file {self.name} is {found or 'no known type of image'} by its content; allowed are "
                f"{', '.join(ACCEPTED_REFERENCES)}. Nothing was uploaded"
            )
        return found


@dataclass(frozen=True)
class Upload:
    """
    An uploaded image.

    :param url: Its public, temporary URL, for ``image_urls``.
    :param expires_at: Expiry of the URL, 72 hours after the upload.
    """

    url: str
    filename: str | None
    content_type: str | None
    bytes: int | None
    created_at: datetime | None

    @property
    def expires_at(self) -> datetime | None:
        """Expiry of the URL."""
        return self.created_at + contract.UPLOAD_LIFETIME if self.created_at else None

    def to_xcom(self) -> dict[str, Any]:
        """Return the upload as plain JSON."""
        return {
            "url": self.url,
            "filename": self.filename,
            "content_type": self.content_type,
            "bytes": self.bytes,
            "created_at": plain(self.created_at),
            "expires_at": plain(self.expires_at),
        }


def upload(image: ImageFile, policy: RetryPolicy) -> Flow[Upload]:
    """
    Upload an image. It costs nothing, so transient errors are retried.

    :raises ApimartInvalidRequestError: Before anything is sent, if APIMart does not accept the file.
    :raises ApimartError: If the upload was refused or the policy gave up.
    """
    return (yield from upload_judged(image, image.judged_type(), policy))


def upload_judged(image: ImageFile, content_type: str, policy: RetryPolicy) -> Flow[Upload]:
    """
    Upload an image whose type is known; see :func:`upload`.

    :param content_type: The type that :meth:`ImageFile.judged_type` returned.
    """
    content = _multipart(image, content_type)
    return (yield from retrying(lambda: _upload_once(content), policy))


def _upload_once(content: Content) -> Flow[Upload]:
    request = Request("POST", contract.UPLOADS_PATH, content=content, kind=RequestKind.UPLOAD)
    return _read_upload((yield from ask(request)))


def _read_upload(reply: Reply) -> Upload:
    if error_reply := find_error_reply(reply):
        raise free_call_error(error_reply)
    body = mapping(reply.json)
    body = mapping(body.get("data")) or body
    url = text(body.get("url"))
    if not url or not url.lower().startswith(("https://", "http://")):
        raise errors.ApimartServerError(
            "The upload was answered with success but without a usable URL", status=reply.status
        )
    size = number(body.get("bytes"))
    return Upload(
        url=url,
        filename=text(body.get("filename")),
        content_type=text(body.get("content_type")),
        bytes=int(size) if size is not None else None,
        created_at=moment(body.get("created_at")),
    )


def _multipart(image: ImageFile, content_type: str) -> Content:
    boundary = uuid.uuid4().hex
    filename = quote(image.filename, safe=" ()[]+,;=@&!~", errors="replace")
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    return Content(
        content_type=f"multipart/form-data; boundary={boundary}",
        length=len(head) + image.size + len(tail),
        open=lambda: _Joined(head, image.open(), tail),
    )


class _Joined(io.RawIOBase, BinaryIO):
    """A file between two pieces of memory, read as one stream without being copied."""

    def __init__(self, head: bytes, file: BinaryIO, tail: bytes) -> None:
        self._file = file
        self._parts: list[BinaryIO] = [io.BytesIO(head), file, io.BytesIO(tail)]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(part.read() for part in self._parts)
        while self._parts:
            if block := self._parts[0].read(size):
                return block
            self._parts.pop(0)
        return b""

    def close(self) -> None:
        self._file.close()
        super().close()
