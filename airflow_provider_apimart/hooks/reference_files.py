"""Files that requests refer to, checked and hashed before anything is uploaded or submitted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.reference_fields import refused, with_files_renamed
from airflow_provider_apimart.api.reference_file import ReferenceFile
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.hooks.image_file import image_file

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_apimart.api.contract import Modality

_BLOCK = 256 * 1024


class ReferenceFiles:
    """Files of any number of requests; each is read once, however many requests name it."""

    def __init__(self) -> None:
        self._files: dict[str, ReferenceFile] = {}

    def request(self, account: str, modality: Modality, payload: Mapping[str, Any]) -> PaidRequest:
        """
        Return a request in which files have names made from their content. It reads the files, and blocks.

        :param account: The connection's id.
        :param payload: The body, which :func:`~airflow_provider_apimart.api.payload.build_payload` returned.
        :raises ApimartInvalidRequestError: If there is no such file or APIMart would not accept it, with the field
            and the file. Nothing was sent.
        """
        files: dict[str, ReferenceFile] = {}

        def name(place: str, path: Any) -> str:
            file = self._file(place, path)
            files[file.name] = file
            return file.name

        return PaidRequest(account, modality, with_files_renamed(payload, name), files)

    def _file(self, place: str, path: str | PurePath | ObjectStoragePath) -> ReferenceFile:
        path = path.strip() if isinstance(path, str) else path
        known = str(path)
        if known not in self._files:
            try:
                self._files[known] = reference_file(path)
            except ApimartInvalidRequestError as error:
                raise refused(f"{place}: {error.reason}") from error
        return self._files[known]


def reference_file(path: str | PurePath | ObjectStoragePath) -> ReferenceFile:
    """
    Return a file, checked and hashed. It reads the file, and blocks.

    :raises ApimartInvalidRequestError: If there is no such file or APIMart would not accept it.
    """
    image = image_file(path)
    content_type = image.judged_type()
    digest = hashlib.sha256()
    with image.open() as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return ReferenceFile(digest.hexdigest(), content_type, image)
