"""A reference picture on this machine or in any object storage that Airflow knows."""

from __future__ import annotations

from pathlib import PurePath
from typing import BinaryIO, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.upload import ImageFile
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def image_file(image: str | PurePath | ObjectStoragePath) -> ImageFile:
    """
    Return the picture at a path.

    :param image: A local path, or a URI such as ``s3://conn_id@bucket/reference.jpg``.
    :raises ApimartInvalidRequestError: If there is no such file.
    """
    path = image if isinstance(image, ObjectStoragePath) else ObjectStoragePath(str(image))
    if not path.exists():
        raise ApimartInvalidRequestError(f"There is no picture at {path}; nothing was uploaded.")
    if not path.is_file():
        raise ApimartInvalidRequestError(f"{path} is no file but a directory; nothing was uploaded.")
    return ImageFile(
        name=str(path),
        filename=path.name,
        size=path.stat().st_size,
        open=lambda: cast("BinaryIO", path.open("rb")),
    )
