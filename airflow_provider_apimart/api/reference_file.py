"""Reference file of requests, and its upload."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from typing import BinaryIO

from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.upload import ImageFile, Upload, upload_judged
from airflow_provider_apimart.exceptions import ApimartError


@dataclass(frozen=True)
class ReferenceFile:
    """
    A reference file of requests.

    :param sha256: SHA-256 of its content, in hexadecimal.
    :param content_type: The media type of its content.
    """

    sha256: str
    content_type: str
    image: ImageFile

    @property
    def name(self) -> str:
        """Name of the file by its content, whatever its path is."""
        return f"sha256:{self.sha256}"

    def upload(self, policy: RetryPolicy) -> Flow[Upload]:
        """
        Upload the file. It costs nothing.

        :raises ApimartError: If the upload was refused, the policy gave up, or the file has changed meanwhile.
        """
        sent: list[_Hashed] = []

        def open_hashed() -> BinaryIO:
            sent.append(_Hashed(self.image.open()))
            return sent[-1]

        uploaded = yield from upload_judged(replace(self.image, open=open_hashed), self.content_type, policy)
        if sent[-1].sha256 != self.sha256:
            raise ApimartError(
                f"The image {self.image.name} was changed while the task ran. No generation was submitted with it. A "
                "retry uses the changed image"
            )
        return uploaded


class _Hashed(io.RawIOBase, BinaryIO):
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._digest.update(block)
        return block

    def close(self) -> None:
        self._file.close()
        super().close()
