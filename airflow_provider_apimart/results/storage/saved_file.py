"""A result that lies in the user's storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class SavedFile:
    """
    One file that was saved whole.

    :param uri: Where it lies, as an ``ObjectStoragePath`` takes it, the connection's id included.
    :param bytes: Its size.
    :param sha256: The SHA-256 of its content, in hexadecimal.
    :param media_type: What it is by its first bytes, such as ``image/png``.
    """

    uri: str
    bytes: int
    sha256: str
    media_type: str

    def to_json(self) -> dict[str, Any]:
        """Return the file as plain JSON, for XCom, receipts and ledgers."""
        return asdict(self)


def saved_file_from_json(value: Mapping[str, Any]) -> SavedFile:
    """
    Return the file that :meth:`SavedFile.to_json` wrote.

    :raises ValueError: If something of it is missing or of another type.
    """
    uri, size, sha256, media_type = (value.get(name) for name in ("uri", "bytes", "sha256", "media_type"))
    if isinstance(uri, str) and isinstance(size, int) and isinstance(sha256, str) and isinstance(media_type, str):
        return SavedFile(uri, size, sha256, media_type)
    raise ValueError(f"this describes no saved file: {dict(value)}")
