"""
Pack: one file with copies of entries, so that a task's next run doesn't read thousands of files.

A pack holds the entries that the task has looked up and those that it has entered.

A copy is used only where the listing shows the entry with the tag that it had when it was copied. So a pack may be
removed, damaged or out of date at any time.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: Directory of the library with the packs.
PACKS = "packs"


@dataclass(frozen=True)
class Copied:
    """
    An entry as it was copied.

    :param tag: The store's tag of the entry's file.
    """

    tag: str
    content: bytes


def pack_place(*task: str | int) -> str:
    """
    Return the place of a task's pack in the library.

    :param task: What identifies the task over its runs.
    """
    return f"{PACKS}/{hashlib.sha256(json.dumps(task).encode()).hexdigest()}.txt"


def pack_to_bytes(copies: Mapping[str, Copied]) -> bytes:
    """
    Return a pack as it is written.

    :param copies: The copies by the names of the entries' files.
    """
    lines = (json.dumps([name, each.tag]).encode() + b"\t" + each.content + b"\n" for name, each in copies.items())
    return b"".join(lines)


def pack_from_bytes(content: bytes) -> dict[str, Copied]:
    """Return what :func:`pack_to_bytes` wrote, without lines that can't be read."""
    return dict(_lines(content))


def _lines(content: bytes) -> Iterator[tuple[str, Copied]]:
    for line in io.BytesIO(content):
        head, _, entry = line.removesuffix(b"\n").partition(b"\t")
        try:
            name, tag = json.loads(head)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(name, str) and isinstance(tag, str):
            yield name, Copied(tag, entry)
