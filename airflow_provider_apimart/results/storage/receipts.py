"""Receipts: small files that record which output a saved file belongs to."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FOLDER = ".apimart"
"""Directory of receipts in a destination."""


@dataclass(frozen=True)
class SavedFile:
    """
    One file that was saved whole.

    :param uri: Its location as an ``ObjectStoragePath`` takes it, the connection's id included.
    :param bytes: Its size.
    :param sha256: The SHA-256 of its content, in hexadecimal.
    :param media_type: Its type, judged by its first bytes, such as ``image/png``.
    """

    uri: str
    bytes: int
    sha256: str
    media_type: str

    def to_json(self) -> dict[str, Any]:
        """Return the file as plain JSON, for XCom, receipts and ledgers."""
        return dict(vars(self))


class KeptFileLostError(Exception):
    """A file that was saved earlier is gone, has changed, or can't be read."""


def saved_file_from_json(value: Mapping[str, Any]) -> SavedFile:
    """
    Return the file that :meth:`SavedFile.to_json` wrote.

    :raises ValueError: If a field is missing or of another type.
    """
    uri, size, sha256, media_type = (value.get(name) for name in ("uri", "bytes", "sha256", "media_type"))
    if isinstance(uri, str) and isinstance(size, int) and isinstance(sha256, str) and isinstance(media_type, str):
        return SavedFile(uri, size, sha256, media_type)
    raise ValueError(f"this describes no saved file: {dict(value)}")


def key_of(stem: str) -> str:
    """
    Return the key of a file's receipt and of its partial file.

    :param stem: The file's name without its extension. Names that differ in case only have one key, since some file
        systems take them for one name.
    """
    return hashlib.sha256(stem.casefold().encode()).hexdigest()[:32]


def key_of_file(name: str) -> str:
    """Return the key of a file, whose name may have an extension."""
    return key_of(posixpath.splitext(name)[0])


def receipt_name(key: str) -> str:
    """Return the name of a receipt, relative to the destination."""
    return f"{FOLDER}/{key}.json"


@dataclass(frozen=True)
class Receipt:
    """
    The claim of one output on a name.

    :param key: The key of the name without its extension; see :func:`key_of`.
    :param owner: The output that the name belongs to. :data:`FOREIGN` if it belongs to a foreign file.
    :param name: The file's name, relative to the destination.
    :param staged: Name of the partial file that is moved to ``name`` once this is written.
    :param replaces: Whether that move replaces an earlier file of the same output.
    """

    key: str
    owner: str
    name: str
    file: SavedFile
    staged: str | None = None
    replaces: bool = False

    @property
    def has_no_file(self) -> bool:
        """Whether the name is only kept for a file that is still to come."""
        return not self.file.sha256

    def to_bytes(self) -> bytes:
        """Return the receipt as it is written."""
        return json.dumps({**vars(self), "file": vars(self.file)}).encode()


FOREIGN = ""
"""Owner of the name of a file that this provider didn't write."""


def receipt_from_bytes(key: str, content: bytes) -> Receipt:
    """
    Return the receipt that :meth:`Receipt.to_bytes` wrote.

    A receipt that can't be read claims its name for a foreign file: unreadable is never taken for absent.
    """
    try:
        value: dict[str, Any] = json.loads(content)
        return Receipt(**value | {"file": saved_file_from_json(value["file"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Receipt(key, FOREIGN, "", SavedFile("", 0, "", ""))
