"""Media types of files by their first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.media_type import HEAD_BYTES, SIGNED_TYPES, media_type

HEADS = {
    "video/vnd.dlna.mpeg-tts": (bytes(4) + b"G" + bytes(187)) * 3,
    "video/ogg": b"OggS\x00\x02" + bytes(22) + b"\x80theora",
    "image/x-exr": b"v/1\x01",
    "image/avif": b"\x00\x00\x00\x20ftypavif",
    "image/heif": b"\x00\x00\x00\x20ftypmif1",
    "image/jxl": b"\xff\x0a" + bytes(9),
    "image/x-icon": b"\x00\x00\x01\x00\x01\x00",
    "video/quicktime": b"\x00\x00\x00\x14ftypqt  ",
    "video/3gpp": b"\x00\x00\x00\x14ftyp3gp5",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "video/x-matroska": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x88matroska",
    "video/mp2t": (b"G" + bytes(187)) * 3,
    "audio/mp4": b"\x00\x00\x00\x1cftypM4A ",
    "audio/flac": b"fLaC\x00",
    "audio/ogg": b"OggS\x00",
    "audio/aac": b"\xff\xf1\x50\x80",
    "audio/mpeg": b"ID3\x04",
    "audio/aiff": b"FORM\x00\x00\x00\x00AIFF",
    "image/svg+xml": b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd"><svg width="1">',
    "application/xml": b"<?xml version='1.0'?><!-- <svg> --><x/>",
    "text/html": b"\n<!-- <svg> --><!doctype html>",
}


FURTHER = [
    *[
        (b"\x00\x00\x00\x08" + atom + b"\x00\x00\x00\x00mdat", "video/quicktime")
        for atom in (b"wide", b"free", b"skip")
    ],
    (b"\x00\x00\x00\x20mdat" + bytes(24), "video/quicktime"),
    (b"\x00\x00\x10\x00moov" + bytes(24), "video/quicktime"),
    (b"\x00\x00\x00\x10free" + bytes(8) + b"\x00\x00\x00\x20ftypisom", "video/mp4"),
    (b"\x00\x00\x00\x18stypmsdh", "video/mp4"),
    (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", "image/avif"),
    (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1heic", "image/heic"),
    (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1avif", "image/heif"),
    *[(bytes([0xFF, second, 0x50, 0x80]), "audio/aac") for second in (0xF0, 0xF1, 0xF8, 0xF9)],
    (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
    (b"BW64\xff\xff\xff\xffWAVEds64", "audio/wav"),
    (b"II+\x00\x08\x00\x00\x00", "image/tiff"),
    (b"MM\x00+\x00\x08\x00\x00", "image/tiff"),
    *[(bytes([0xFF, second]) + b"\x90\x64", "audio/mpeg") for second in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB, 0xFD)],
]


@pytest.mark.parametrize(("head", "kind"), FURTHER)
def test_less_common_beginnings_are_known(head: bytes, kind: str) -> None:
    assert media_type(head + bytes(HEAD_BYTES)) == kind


@pytest.mark.parametrize(
    "head", [b"\xff\xfeh\x00i\x00", b"\xff\xff\xff\xff", b"\xff\xfb\xf0\x00", b"\xff\xe3\x0c\x00"[:1]]
)
def test_other_beginnings_with_all_bits_set_are_no_audio(head: bytes) -> None:
    assert media_type(head) != "audio/mpeg"


@pytest.mark.parametrize("kind", HEADS)
def test_a_type_is_recognized_by_the_first_bytes(kind: str) -> None:
    assert media_type(HEADS[kind]) == kind
    assert media_type(HEADS[kind] + bytes(HEAD_BYTES)) == kind


@pytest.mark.parametrize("kind", [kind for kind in HEADS if kind.startswith(("image/", "video/", "audio/"))])
def test_types_with_a_signature_are_listed_as_signed(kind: str) -> None:
    assert kind in SIGNED_TYPES


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_are_judged_without_an_error(head: bytes) -> None:
    found = media_type(head)
    assert found is None or "/" in found
