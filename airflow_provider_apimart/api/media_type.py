"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import re

ACCEPTED_REFERENCES = ("image/jpeg", "image/png", "image/webp", "image/gif")
HEAD_BYTES = 512

# Offset, bytes, type: the first that fits counts.
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftyphev", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypmsf1", "image/heif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypM4B", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (4, b"moov", "video/quicktime"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xffO\xffQ", "image/jp2"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x00\x00\x01\xb3", "video/mpeg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-asf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"caff", "audio/x-caf"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"%PDF", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"Rar!", "application/vnd.rar"),
    (0, b"7z\xbc\xaf", "application/x-7z-compressed"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ", "application/x-xz"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"MZ", "application/x-executable"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-executable"),
    (0, b"\xca\xfe\xba\xbe", "application/x-executable"),
    (0, b"\x00asm", "application/wasm"),
    (0, b"#!", "text/x-script"),
)

_RIFF_TYPES = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_FORM_TYPES = {b"AIFF": "audio/aiff", b"AIFC": "audio/aiff"}
_MATROSKA = b"\x1aE\xdf\xa3"
_TRANSPORT_PACKET = 188

# Types that first bytes tell: what is said to be one of these, but doesn't begin like it, isn't.
SIGNED_TYPES = frozenset(
    {found for _, _, found in _SIGNATURES}
    | {*_RIFF_TYPES.values(), *_FORM_TYPES.values()}
    | {
        "image/jpg",
        "image/bmp",
        "image/svg+xml",
        "video/webm",
        "video/x-matroska",
        "video/mp2t",
        "audio/mp3",
        "audio/x-wav",
    }
)

# The root of the document, behind what may stand before it.
_SVG = re.compile(rb"(<\?xml.*?\?>|<!--.*?-->|<!doctype svg[^>\[]*(\[.*?\])?[^>]*>|\s)*<(svg:)?svg[\s>/]", re.DOTALL)
_HTML = re.compile(
    rb"(<!--.*?-->|\s)*<(!doctype html|html|head|body|script|title|meta|div|center|h1|p|a|br)\b", re.DOTALL
)


def media_type(head: bytes) -> str | None:
    """
    Return the media type that a file's first bytes tell, or ``None``.

    :param head: The first :data:`HEAD_BYTES` bytes, or as many as there are.
    """
    return _container_type(head) or _signed_type(head) or _text_type(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def _container_type(head: bytes) -> str | None:
    if head.startswith(b"RIFF"):
        return _RIFF_TYPES.get(head[8:12])
    if head.startswith(b"FORM"):
        return _FORM_TYPES.get(head[8:12])
    if head.startswith(_MATROSKA):
        return "video/x-matroska" if b"matroska" in head[:64] else "video/webm"
    # Two letters are too little to tell these from a text.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    return "video/mp2t" if head[: 2 * _TRANSPORT_PACKET + 1 : _TRANSPORT_PACKET] == b"GGG" else None


def _signed_type(head: bytes) -> str | None:
    return next((found for offset, signature, found in _SIGNATURES if head.startswith(signature, offset)), None)


def _text_type(head: bytes) -> str | None:
    lower = head.lower()
    if _SVG.match(lower):
        return "image/svg+xml"
    if _HTML.match(lower):
        return "text/html"
    if head.startswith(b"<"):
        return "application/xml"
    if head.startswith((b"{", b"[")):
        return "application/json"
    return "text/plain" if head and _is_text(head) else None


def _is_text(head: bytes) -> bool:
    # The end may have cut a character.
    text = head.decode("utf-8", "ignore")
    return len(head) - len(text.encode()) < 4 and all(letter.isprintable() or letter.isspace() for letter in text)
