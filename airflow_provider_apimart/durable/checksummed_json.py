"""Lines of JSON that end with their checksum, so that damage is noticed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

_TAIL = b', "crc": "%08x"}'
_TAIL_LENGTH = len(_TAIL % 0)


def with_checksum(value: Mapping[str, Any]) -> str:
    """Return an object as a line of JSON that ends with its checksum."""
    text = json.dumps(value)
    return text[:-1] + (_TAIL % zlib.crc32(text.encode())).decode()


def checked_json(line: str) -> Any:
    """
    Return the object that :func:`with_checksum` wrote.

    :raises ValueError: If its checksum is wrong.
    """
    if not has_its_checksum(line.encode("utf-8", "surrogatepass")):
        raise ValueError("its checksum is wrong")
    return json.loads(_without_checksum(line))


def read_together(lines: Sequence[str]) -> Iterable[Any]:
    """
    Return the objects in lines that have their checksums.

    Read as one document, objects share the names of their fields, which would take most of the memory otherwise.

    :raises ValueError: If a line is no JSON.
    """
    texts = list(map(_without_checksum, lines))
    with suppress(ValueError):
        together = json.loads(f"[{','.join(texts)}]")
        if len(together) == len(texts):
            return list(together)
    return map(json.loads, texts)


def has_its_checksum(line: bytes) -> bool:
    """Whether a line ends with the checksum of its content."""
    content = memoryview(line)[:-_TAIL_LENGTH]
    return line[-_TAIL_LENGTH:] == _TAIL % zlib.crc32(b"}", zlib.crc32(content))


def _without_checksum(line: str) -> str:
    return line[:-_TAIL_LENGTH] + "}"
