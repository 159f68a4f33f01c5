"""
How a whole file comes to lie under its final name, and never a part of it.

On this machine it is moved there from a hidden folder beside it. A store gets it whole from a temporary file of this
machine: under its final name where what is written appears at once, elsewhere under a temporary one, from which it is
moved.
"""

from __future__ import annotations

import os
import posixpath
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_apimart.exceptions import ApimartDestinationError, ApimartError
from airflow_provider_apimart.results.storage.receipts import FOLDER, Receipt, receipt_from_text
from airflow_provider_apimart.results.storage.saved_file import SavedFile
from airflow_provider_apimart.results.storage.staging import Staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_PARTIAL = "partial"
# What is written to these appears when it is whole. The argument tells them the media type.
_CONTENT_TYPE_OF_STORE = {"s3": "ContentType", "s3a": "ContentType", "gs": "content_type", "gcs": "content_type"}
# Their libraries hold several parts of a large file in memory at once.
_PART_BYTES = 5 * 1024 * 1024
_WHOLE_OR_NOTHING = (*_CONTENT_TYPE_OF_STORE, "abfs", "abfss", "adl", "az", "wasb", "wasbs")


@contextmanager
def destination_errors(destination: str) -> Iterator[None]:
    """
    Tell of every trouble with a destination in one way, whatever its library raises.

    :raises ApimartDestinationError: Instead of anything else.
    """
    from airflow_provider_apimart.api.error_mapping import root_reason

    try:
        yield
    except ApimartError:
        raise
    except Exception as error:
        raise ApimartDestinationError(
            f"{destination} can't be written ({root_reason(error)}). Mend it and clear the task, which costs nothing "
            "while the URLs live"
        ) from error


def uri_of(path: ObjectStoragePath) -> str:
    """Return where something lies as ``ObjectStoragePath`` takes it, with the connection's id on every version."""
    # Only below Airflow 3.2 is it among the options, and only from then on an attribute.
    uri, conn_id = str(path), path.storage_options.get("conn_id") or getattr(path, "conn_id", None)
    connection = f"://{conn_id}@"
    return uri if conn_id is None or connection in uri else uri.replace("://", connection, 1)


class Destination(ABC):
    """
    Where files come to lie.

    :param root: The directory for all of them.
    :param staging: Where they are until they are whole.
    """

    def __init__(self, root: ObjectStoragePath, staging: Staging) -> None:
        self._root = root
        self.staging = staging

    def uri(self, name: str) -> str:
        """Return where a file lies, as ``ObjectStoragePath`` takes it."""
        return uri_of(self._root / name)

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt under a key, ``None`` if there is none that can be read."""
        content = self._read(_receipt_name(key))
        return receipt_from_text(content) if content else None

    @abstractmethod
    def commit(self, staged: BinaryIO, name: str, file: SavedFile, receipt: Receipt | None) -> None:
        """Let a file on its way lie under its final name, and its receipt, if there is one, under its own."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""

    @abstractmethod
    def recover(self) -> None:
        """Finish what killed processes had fetched whole, and remove what they hadn't."""

    @abstractmethod
    def _read(self, name: str) -> bytes | None:
        """Return the content of a small file, ``None`` if there is none."""


def destination_at(destination: str | ObjectStoragePath) -> Destination:
    """Return how files come to lie at a destination."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = ObjectStoragePath(destination)
    return LocalDestination(path) if path.protocol in ("", "file", "local") else ObjectStoreDestination(path)


def _receipt_name(key: str) -> str:
    return f"{FOLDER}/{key}.json"


class LocalDestination(Destination):
    """A directory of this machine, or one that looks like it."""

    def __init__(self, root: ObjectStoragePath) -> None:
        self._folder = Path(root.path)
        super().__init__(root, Staging(self._folder / FOLDER / _PARTIAL))

    def commit(self, staged: BinaryIO, name: str, file: SavedFile, receipt: Receipt | None) -> None:
        """Write the receipt, then move the file: a process killed in between has left both, see :meth:`recover`."""
        staged.flush()
        os.fsync(staged.fileno())
        path = Path(staged.name)
        if receipt:
            self._write_receipt(replace(receipt, staged=path.name))
        self._move(path, name)

    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self._folder / name).stat().st_size
        return None

    def recover(self) -> None:
        """Move what killed processes had written a receipt for, and remove the rest."""
        for path in self.staging.left_behind():
            receipt = self.receipt(path.name.partition(".")[0])
            if receipt and receipt.staged == path.name:
                self._move(path, receipt.name)

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    def _write_receipt(self, receipt: Receipt) -> None:
        with self.staging.new_file(receipt.key) as file:
            file.write(receipt.to_text().encode())
            file.flush()
            os.replace(file.name, self._folder / _receipt_name(receipt.key))

    def _move(self, path: Path, name: str) -> None:
        final = self._folder / name
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)


class ObjectStoreDestination(Destination):
    """A store that is reached through the network."""

    def __init__(self, root: ObjectStoragePath) -> None:
        super().__init__(root, Staging(_private_folder()))
        self._store = root.fs
        self._writes_whole = root.protocol in _WHOLE_OR_NOTHING
        self._content_type = _CONTENT_TYPE_OF_STORE.get(root.protocol)

    def commit(self, staged: BinaryIO, name: str, file: SavedFile, receipt: Receipt | None) -> None:
        """Put the file, then the receipt: a process killed in between fetches and puts the same again."""
        staged.flush()
        self._put(staged.name, name, file.media_type)
        if receipt:
            self._put_receipt(receipt)

    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""
        with suppress(FileNotFoundError):
            return int(self._store.info(self._path(name))["size"])
        return None

    def recover(self) -> None:
        """Remove what killed processes left on this machine."""
        for _ in self.staging.left_behind():
            pass

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return bytes(self._store.cat_file(self._path(name)))
        return None

    def _put_receipt(self, receipt: Receipt) -> None:
        with self.staging.new_file(receipt.key) as file:
            file.write(receipt.to_text().encode())
            file.flush()
            self._put(file.name, _receipt_name(receipt.key), "application/json")

    def _put(self, local: str, name: str, media_type: str) -> None:
        final = self._path(name)
        if self._writes_whole:
            told = {self._content_type: media_type, "chunksize": _PART_BYTES} if self._content_type else {}
            self._store.put_file(local, final, **told)
            return
        partial = self._path(f"{FOLDER}/{_PARTIAL}/{secrets.token_hex(16)}")
        for path in (partial, final):
            self._store.makedirs(posixpath.dirname(path), exist_ok=True)
        self._put_and_move(local, partial, final)

    def _put_and_move(self, local: str, partial: str, final: str) -> None:
        try:
            self._store.put_file(local, partial)
            self._store.mv(partial, final)
        except BaseException:
            with suppress(Exception):
                self._store.rm_file(partial)
            raise

    def _path(self, name: str) -> str:
        return str((self._root / name).path)


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"apimart-results-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    return folder
