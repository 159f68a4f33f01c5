"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

ACCEPTED_REFERENCES = ("image/jpeg", "image/png", "image/webp", "image/gif")
HEAD_BYTES = 512

# Offset, bytes, type: the first that fits counts.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"%PDF", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
)

_RIFF_TYPES = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}


def media_type(head: bytes) -> str | None:
    """
    Return the media type that a file's first bytes tell, or ``None``.

    :param head: The first :data:`HEAD_BYTES` bytes, or as many as there are.
    """
    if head.startswith(b"RIFF"):
        return _RIFF_TYPES.get(head[8:12])
    for offset, signature, found in _SIGNATURES:
        if head.startswith(signature, offset):
            return found
    return _text_type(head.lstrip().lower())


def _text_type(head: bytes) -> str | None:
    if head.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if b"<svg" in head:
        return "image/svg+xml"
    if head.startswith((b"{", b"[")):
        return "application/json"
    return None
