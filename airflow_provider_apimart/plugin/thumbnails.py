"""Thumbnails of images, made once with Pillow and kept below ``[apimart] ledger_path``."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
from contextlib import suppress
from functools import cache
from threading import Lock

from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.plugin.index import Index
from airflow_provider_apimart.plugin.items import File
from airflow_provider_apimart.plugin.storage import Source

log = logging.getLogger(__name__)

THUMBNAILS = "thumbnails"
MEDIA_TYPE = "image/webp"
_PIXELS = 480
# Larger ones would take more memory than a page is worth.
_MOST_BYTES = 64 * 1024 * 1024
_MOST_PIXELS = 50_000_000
_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff", "image/avif")

# They take memory. While one takes long, or its storage doesn't answer, the others are shown as they are.
_one_at_a_time = Lock()
_WAIT_SECONDS = 5.0


@cache
def can_be_made() -> bool:
    """Whether Pillow is installed."""
    return importlib.util.find_spec("PIL") is not None


def thumbnail_of(file: File, media_type: str, source: Source, index: Index) -> bytes | None:
    """
    Return the thumbnail of a picture as WebP, ``None`` if none can be made.

    :param media_type: Its type, judged by its first bytes.
    :param index: The index, beside which thumbnails are kept.
    :raises NotReadableError: If the picture can't be read now.
    """
    if media_type not in _PICTURES or source.size > _MOST_BYTES or not can_be_made():
        return None
    name = f"{_digest(file, source.size)}.webp"
    folder = Folder(index.root / THUMBNAILS / name[:2])
    with suppress(Exception):
        # Any error: without a kept one, it is made.
        return folder.read(name)
    if not _one_at_a_time.acquire(timeout=_WAIT_SECONDS):
        return None
    try:
        made = _made(source.read(0, source.size))
    finally:
        _one_at_a_time.release()
    if made is not None:
        _keep(folder, name, made)
    return made


def _digest(file: File, size: int) -> str:
    """Return a name that follows from the file and its place, so that no other file leads to its thumbnail."""
    return hashlib.sha256("\n".join([file.uri, file.sha256 or "", str(size)]).encode()).hexdigest()


def _made(content: bytes) -> bytes | None:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            picture.draft("RGB", (_PIXELS, _PIXELS))
            small = ImageOps.exif_transpose(picture)
            small.thumbnail((_PIXELS, _PIXELS))
            written = io.BytesIO()
            small.convert("RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB").save(
                written, "WEBP", quality=80
            )
            return written.getvalue()
    except Exception as error:
        # Any error: it is made of a file that may be damaged, and the file itself can be shown instead.
        log.debug("No thumbnail can be made: %s", error)
        return None


def _keep(folder: Folder, name: str, content: bytes) -> None:
    try:
        folder.write(name, content)
    except Exception as error:
        # Any error: it is made again the next time.
        log.debug("The thumbnail can't be kept: %s", error)
