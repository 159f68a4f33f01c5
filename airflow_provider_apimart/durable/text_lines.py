"""Lines of large text files, decoded while they are read: only the bytes stay in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator


def to_bytes(lines: Iterable[str]) -> bytes:
    """Return lines as the content of a file in UTF-8, each with its end."""
    content = io.BytesIO()
    content.writelines(f"{line}\n".encode() for line in lines)
    return content.getvalue()


def from_bytes(content: bytes) -> Iterator[str]:
    """
    Go through the lines of a file in UTF-8, without their ends.

    :raises UnicodeDecodeError: At a line that is no UTF-8.
    """
    return map(bytes.decode, encoded(content))


def encoded(content: bytes) -> Iterator[bytes]:
    """Go through the lines of a file as they are written, without their ends."""
    return (line.removesuffix(b"\n") for line in io.BytesIO(content))


def distinct(lines: Iterable[str]) -> Iterator[str]:
    """Go through lines without those that came before, of which only digests are kept."""
    seen = set()
    for line in lines:
        digest = hashlib.blake2b(line.encode(), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield line
