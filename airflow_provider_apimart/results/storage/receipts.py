"""What says whose file lies under a name, so that a retry knows what it needn't fetch again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_apimart.results.storage.saved_file import SavedFile, saved_file_from_json

FOLDER = ".apimart"


def key_of(stem: str) -> str:
    """Return what a file's receipt and its partial file are called, by its own name without the ending."""
    return hashlib.sha256(stem.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Receipt:
    """
    That a file was fetched whole.

    :param owner: Whose file it is: another one may come to lie under the same name.
    :param key: Under which it is kept; see :func:`key_of`.
    :param name: Its name, relative to the destination.
    :param staged: The name of the file on its way, from where it is moved to its own after this is written; ``None``
        if this is written when it lies there.
    """

    key: str
    owner: str
    name: str
    file: SavedFile
    staged: str | None = None

    def to_text(self) -> str:
        """Return the receipt as it is written."""
        return json.dumps(asdict(self))


def receipt_from_text(text: str | bytes) -> Receipt | None:
    """Return the receipt that :meth:`Receipt.to_text` wrote, ``None`` if it can't be read."""
    try:
        value: dict[str, Any] = json.loads(text)
        return Receipt(**value | {"file": saved_file_from_json(value["file"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
