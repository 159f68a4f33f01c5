"""Media type of a file by its first bytes, whatever its name says."""

from __future__ import annotations

import re

ACCEPTED_REFERENCES = ("image/jpeg", "image/png", "image/webp", "image/gif")
HEAD_BYTES = 512
#: Beginnings of the media types that APIMart's models make.
MEDIA_PREFIXES = ("image/", "video/", "audio/")

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
    (4, b"ftypM4P", "audio/mp4"),
    (4, b"ftypF4A", "audio/mp4"),
    (4, b"ftypF4B", "audio/mp4"),
    (4, b"ftypjp2", "image/jp2"),
    (4, b"ftypjpx", "image/jp2"),
    (4, b"ftypcrx", "image/x-canon-cr3"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (4, b"styp", "video/mp4"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xffO\xffQ", "image/jp2"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x00\x00\x01\xb3", "video/mpeg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-asf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xf0", "audio/aac"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf8", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"caff", "audio/x-caf"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"MThd\x00\x00\x00\x06", "audio/midi"),
    (0, b"wvpk", "audio/x-wavpack"),
    (0, b"MAC \x96", "audio/x-ape"),
    (0, b".snd\x00", "audio/basic"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00\x08\x00", "image/tiff"),
    (0, b"MM\x00+\x00\x08", "image/tiff"),
    (0, b"II\xbc\x01", "image/jxr"),
    (0, b"v/1\x01", "image/x-exr"),
    (0, b"#?RADIANCE", "image/vnd.radiance"),
    (0, b"#?RGBE", "image/vnd.radiance"),
    (0, b"DDS |\x00\x00\x00", "image/vnd.ms-dds"),
    (0, b"qoif", "image/qoi"),
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
# RIFF for more than 4 GB.
_LARGE_RIFF = (b"RF64", b"BW64")
_MATROSKA = b"\x1aE\xdf\xa3"
# Packets of an MPEG transport stream begin with this byte; in an M2TS, a time of four bytes precedes each.
_SYNC = b"G"
_TRANSPORT_PACKET = 188
_TIMED_PACKET = 192
# Atoms that may come first in a QuickTime file, or before the "ftyp" of an MP4.
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid")

# Types with known first bytes: a file with such a Content-Type but other first bytes is something else.
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
        "video/vnd.dlna.mpeg-tts",
        "video/ogg",
        "audio/mpeg",
        "audio/mp3",
        "audio/x-wav",
    }
)

# The root of the document, after what may precede it.
_SVG = re.compile(rb"(<\?xml.*?\?>|<!--.*?-->|<!doctype svg[^>\[]*(\[.*?\])?[^>]*>|\s)*<(svg:)?svg[\s>/]", re.DOTALL)
_HTML = re.compile(
    rb"(<!--.*?-->|\s)*<(!doctype html|html|head|body|script|title|meta|div|center|h1|p|a|br)\b", re.DOTALL
)


def media_type(head: bytes) -> str | None:
    """
    Return the media type of a file, ``None`` where its first bytes don't show it.

    :param head: The first :data:`HEAD_BYTES` bytes, or as many as there are.
    """
    return _container_type(head) or _signed_type(head) or _text_type(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def _container_type(head: bytes) -> str | None:
    if head.startswith((b"RIFF", *_LARGE_RIFF)):
        return _RIFF_TYPES.get(head[8:12])
    if head.startswith(b"FORM"):
        return _FORM_TYPES.get(head[8:12])
    if head.startswith(_MATROSKA):
        return "video/x-matroska" if b"matroska" in head[:64] else "video/webm"
    if head.startswith(b"OggS") and b"\x80theora" in head[:64]:
        return "video/ogg"
    # Two letters are too little to tell these from a text.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "image/bmp"
    if _is_layer_2_or_3(head):
        return "audio/mpeg"
    return _atom_type(head) or _transport_type(head)


def _atom_type(head: bytes) -> str | None:
    """Return the type of a file of atoms, which begin with their size and name: that of the first one that shows it."""
    at = 0
    while head[at + 4 : at + 8] in _ATOMS:
        size, name = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        if at + 8 + 4 > len(head) or name in (b"moov", b"mdat") or size < 8:
            return "video/quicktime"
        at += size
    return _signed_type(head[at:]) or "video/quicktime" if at else None


def _transport_type(head: bytes) -> str | None:
    if head[: 2 * _TRANSPORT_PACKET + 1 : _TRANSPORT_PACKET] == 3 * _SYNC:
        return "video/mp2t"
    return "video/vnd.dlna.mpeg-tts" if head[4 : 2 * _TIMED_PACKET + 5 : _TIMED_PACKET] == 3 * _SYNC else None


def _is_layer_2_or_3(head: bytes) -> bool:
    """Return whether a file begins with a frame of MPEG audio, such as MP3: eleven set bits and valid fields."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and bit_rate != 15 and sample_rate != 3


def _signed_type(head: bytes) -> str | None:
    found = next((found for offset, signature, found in _SIGNATURES if head.startswith(signature, offset)), None)
    return _coded_as(head) if found == "image/heif" else found


def _coded_as(head: bytes) -> str:
    """Return the type of a HEIF image, whose coding only the brands behind the first one may name."""
    brands = head[16 : int.from_bytes(head[:4])]
    known = ((b"avif", "image/avif"), (b"avis", "image/avif"), (b"heic", "image/heic"), (b"heix", "image/heic"))
    return next((found for brand, found in known if brand in brands), "image/heif")


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
