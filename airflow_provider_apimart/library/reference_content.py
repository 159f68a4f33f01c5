"""
Contents of uploads by their URLs, so that a new upload of the same file is the same reference.

Each URL has a file, named by the URL's SHA-256, with the SHA-256 of what was uploaded there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection

from airflow_provider_apimart.durable.checksummed_json import checked_json, with_checksum
from airflow_provider_apimart.durable.uploads import KeptUpload, UploadRegistry
from airflow_provider_apimart.library.library import Library

#: Directory of the library with a file for each URL.
REFERENCES = "references"

_MARK = "apimart_reference"
_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ReferenceContents:
    """
    The SHA-256 of uploaded files by their URLs.

    :param library: The library that keeps them.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def known(self, urls: Collection[str]) -> dict[str, str]:
        """
        Return the SHA-256 of the files behind those URLs that were uploads.

        :raises Exception: Whatever the storage raises. A damaged file makes its URL an unknown one.
        """
        folders = {url: _place(url) for url in urls}
        found = self._library.read(list(folders.values()))
        contents = ((url, _content(url, found.get(place))) for url, place in folders.items())
        return {url: content for url, content in contents if content}

    def note(self, url: str, sha256: str) -> None:
        """
        Keep what was uploaded to a URL.

        :raises Exception: Whatever the storage raises.
        """
        written = with_checksum({_MARK: _VERSION, "url_sha256": _digest(url), "sha256": sha256})
        self._library.write(_place(url), written.encode())


class NotedUploads:
    """
    Uploads of a task, whose contents the library learns.

    :param registry: Where the task keeps its uploads.
    :param note: Called with the URL and the SHA-256 of each upload.
    """

    def __init__(self, registry: UploadRegistry, note: Callable[[str, str], None]) -> None:
        self._registry = registry
        self._note = note

    def get(self, sha256: str) -> KeptUpload | None:
        """Return the upload of a content, ``None`` if none is known."""
        return self._registry.get(sha256)

    def put(self, sha256: str, upload: KeptUpload) -> None:
        """Keep an upload."""
        self._registry.put(sha256, upload)
        self._note(upload.url, sha256)


def _place(url: str) -> str:
    digest = _digest(url)
    return f"{REFERENCES}/{digest[:2]}/{digest}.json"


def _content(url: str, written: bytes | None) -> str | None:
    try:
        said = checked_json(written.decode()) if written else {}
        if said[_MARK] == _VERSION and said["url_sha256"] == _digest(url) and _SHA256.fullmatch(said["sha256"]):
            return str(said["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError):
        # Damaged, or of another version: the URL counts as it is written.
        pass
    return None


def _digest(url: str) -> str:
    return hashlib.sha256(url.strip().encode("utf-8", "surrogatepass")).hexdigest()
