"""What may be saved: pictures, clips and sounds, judged by their first bytes."""

from __future__ import annotations

import re

from airflow_provider_apimart.api.media_type import SIGNED_TYPES, media_type
from airflow_provider_apimart.exceptions import ApimartDownloadError

_MEDIA = ("image/", "video/", "audio/")
_EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/x-icon": ".ico",
    "image/vnd.adobe.photoshop": ".psd",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-ms-asf": ".wmv",
    "video/x-flv": ".flv",
    "video/3gpp": ".3gp",
    "video/mp2t": ".ts",
    "video/mpeg": ".mpg",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-caf": ".caf",
}


def accepted_media_type(head: bytes, announced: str) -> str:
    """
    Return what a file is.

    :param head: Its first bytes, which decide.
    :param announced: What its host says that it is. It counts only for types that no first bytes tell of.
    :raises ApimartDownloadError: If that is no picture, clip or sound, with what it is.
    """
    found = media_type(head)
    if found is None and announced.startswith(_MEDIA) and announced not in SIGNED_TYPES:
        return announced
    if found and found.startswith(_MEDIA):
        return found
    said = f", announced as {announced}" if announced else ""
    raise ApimartDownloadError(
        f"it is {found or 'of an unknown type'}, no picture, clip or sound{said}; it begins with {head[:40]!r}"
    )


def extension(media_type: str) -> str:
    """Return the ending for files of a media type, with its dot."""
    subtype = media_type.partition("/")[2].removeprefix("x-")
    return _EXTENSIONS.get(media_type) or (f".{subtype}" if re.fullmatch("[a-z0-9]{1,8}", subtype) else ".bin")
