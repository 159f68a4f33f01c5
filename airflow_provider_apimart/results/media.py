"""Media that may be saved: images, videos and audio, judged by their first bytes."""

from __future__ import annotations

import re

from airflow_provider_apimart.api.media_type import MEDIA_PREFIXES, SIGNED_TYPES, media_type
from airflow_provider_apimart.exceptions import ApimartDownloadError

_EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/svg+xml": ".svg",
    "image/tiff": ".tif",
    "image/x-icon": ".ico",
    "image/vnd.adobe.photoshop": ".psd",
    "image/vnd.radiance": ".hdr",
    "image/vnd.ms-dds": ".dds",
    "image/jxr": ".jxr",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-ms-asf": ".wmv",
    "video/x-flv": ".flv",
    "video/3gpp": ".3gp",
    "video/mp2t": ".ts",
    "video/vnd.dlna.mpeg-tts": ".m2ts",
    "video/ogg": ".ogv",
    "video/mpeg": ".mpg",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-caf": ".caf",
    "audio/basic": ".au",
    "audio/midi": ".mid",
    "audio/x-wavpack": ".wv",
    "audio/x-ape": ".ape",
}


def accepted_media_type(head: bytes, content_type: str) -> str:
    """
    Return the media type of a file that may be saved.

    :param head: Its first bytes, which decide.
    :param content_type: Its ``Content-Type``, which counts only for types without known first bytes.
    :raises ApimartDownloadError: If it is no image, video or audio; the message says what it is.
    """
    found = media_type(head)
    if found is None and content_type.startswith(MEDIA_PREFIXES) and content_type not in SIGNED_TYPES:
        return content_type
    if found and found.startswith(MEDIA_PREFIXES):
        return found
    claimed = f" (its Content-Type is {content_type})" if content_type else ""
    raise ApimartDownloadError(
        f"it is {found or 'of an unknown type'}, no image, video or audio{claimed}; it begins with {head[:40]!r}"
    )


def extension(media_type: str) -> str:
    """Return the extension for files of a media type, with its dot."""
    subtype = media_type.partition("/")[2].removeprefix("x-")
    return _EXTENSIONS.get(media_type) or (f".{subtype}" if re.fullmatch("[a-z0-9]{1,8}", subtype) else ".bin")
