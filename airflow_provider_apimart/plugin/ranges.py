"""Byte ranges and conditions of HTTP requests (RFC 9110), as browsers and players of videos and audio send them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRangeError(ValueError):
    """The range is beyond the end of the file."""


@dataclass(frozen=True)
class Part:
    """
    A part of a file.

    :param length: Its bytes, at least one.
    """

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def is_current(header: str | None, tag: str) -> bool:
    """
    Return whether a client has the content already.

    :param header: The value of ``If-None-Match``.
    :param tag: The content's ``ETag``.
    """
    known = {each.strip().removeprefix("W/") for each in (header or "").split(",")}
    return "*" in known or tag.removeprefix("W/") in known


def part_of(header: str | None, size: int) -> Part | None:
    """
    Return the part that a request asks for, ``None`` for the whole file.

    Several ranges at once, and what isn't understood, mean the whole file, which RFC 9110 permits.

    :param header: The value of ``Range``.
    :raises UnsatisfiableRangeError: If the file has no such part.
    """
    found = _SINGLE.fullmatch((header or "").strip().lower())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        start, end = size - length, size - 1
    else:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
        if last and int(last) < start:
            return None
    if start >= size or end < start:
        raise UnsatisfiableRangeError
    return Part(start, end - start + 1, size)
