"""Lines of large text files, of which no second copy is made."""

from __future__ import annotations

import io
from collections.abc import Iterable


def to_bytes(lines: Iterable[str]) -> bytes:
    """Return lines as the content of a file in UTF-8, each with its end."""
    content = io.BytesIO()
    content.writelines(f"{line}\n".encode() for line in lines)
    return content.getvalue()


def from_bytes(content: bytes) -> tuple[list[str], str]:
    """
    Return the whole lines of a file in UTF-8 without their ends, and what follows the last one.

    :raises UnicodeDecodeError: If it is no UTF-8.
    """
    lines = [line.removesuffix("\n") for line in io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="\n")]
    rest = lines.pop() if lines and not content.endswith(b"\n") else ""
    return lines, rest
