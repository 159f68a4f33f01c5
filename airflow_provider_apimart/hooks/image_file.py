"""Reference images on this machine or in any object storage that Airflow knows."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import BinaryIO, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.api.upload import ImageFile
from airflow_provider_apimart.compat.object_storage import usable_path
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def image_file(image: str | PurePath | ObjectStoragePath) -> ImageFile:
    """
    Return the image at a path.

    :param image: A local path, or a URI such as ``s3://conn_id@bucket/reference.jpg``.
    :raises ApimartInvalidRequestError: If there is no such file, or its kind of storage is unknown.
    """
    path, shown = _path(image), without_query(str(image))
    if not path.exists():
        where = "" if path.is_absolute() or "://" in str(path) else f" (looked for in {Path.cwd()})"
        raise ApimartInvalidRequestError(
            f"There is no image at {shown}{where}. Nothing was uploaded", reason=f"there is no image at {shown}{where}"
        )
    if not path.is_file():
        raise ApimartInvalidRequestError(
            f"{shown} is a directory. Nothing was uploaded", reason=f"{shown} is a directory"
        )
    return _image_file(path)


def _path(image: str | PurePath | ObjectStoragePath) -> ObjectStoragePath:
    if str(image).lower().startswith(("http://", "https://")):
        raise ApimartInvalidRequestError(f"{without_query(str(image))} is a URL already; use it in image_urls as it is")
    try:
        return usable_path(image if isinstance(image, ObjectStoragePath) else str(image))
    except (ValueError, ImportError) as error:
        raise ApimartInvalidRequestError(f"The image {without_query(str(image))} cannot be opened: {error}") from error


def _image_file(path: ObjectStoragePath) -> ImageFile:
    return ImageFile(
        name=without_query(str(path)),
        # It becomes a part of the public URL, so a signature in an address must not be in it.
        filename=path.name.partition("?")[0] if "://" in str(path) else path.name,
        size=path.stat().st_size,
        open=lambda: cast("BinaryIO", path.open("rb")),
    )
