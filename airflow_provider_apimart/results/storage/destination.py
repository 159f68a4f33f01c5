"""
Destination: a directory or an object store in which results are saved whole, each under a name of its own.

A name is claimed by creating its receipt, which fails if it exists, and only then taken by the file, which replaces
nothing but an earlier file of the same output. A name that is taken leads to the next of
:func:`~airflow_provider_apimart.results.storage.file_names.alternatives`.
"""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.file_names import alternatives
from airflow_provider_apimart.results.storage.paths import uri_of
from airflow_provider_apimart.results.storage.receipts import (
    FOREIGN,
    Receipt,
    SavedFile,
    key_of,
    key_of_file,
    receipt_from_bytes,
    receipt_name,
)
from airflow_provider_apimart.results.storage.staging import Staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


class Destination(ABC):
    """
    A directory or an object store for files.

    :param root: The directory of all files.
    :param staging: The folder of partial files.
    """

    def __init__(self, root: ObjectStoragePath, staging: Staging) -> None:
        self._root = root
        self._uri = uri_of(root)
        self.staging = staging

    def uri(self, name: str) -> str:
        """Return the URI of a file, as ``ObjectStoragePath`` takes it."""
        # Joined as text: paths of object storages take a millisecond to make, and a batch has thousands of files.
        return posixpath.join(self._uri, name) if name else self._uri

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt under a key, ``None`` if there is none."""
        content = self._read(receipt_name(key))
        return None if content is None else receipt_from_bytes(key, content)

    def find(self, stem: str, owner: str) -> SavedFile | None:
        """
        Return the file of an output if it is there and has the size that its receipt names.

        :param stem: The name that the output would like to have, without the extension.
        """
        for candidate in alternatives(stem, owner):
            receipt = self.receipt(key_of(candidate))
            if receipt is None:
                return None
            if receipt.owner == owner:
                return receipt.file if self.size(receipt.name) == receipt.file.bytes else None
        return None

    def commit(self, staged: BinaryIO, stem: str, extension: str, file: SavedFile, owner: str) -> SavedFile:
        """
        Move a whole file from the staging folder to the first of its names that is free or its own.

        :param file: The file's facts; the URI is added here.
        :raises ApimartDestinationError: If all names are taken.
        """
        for candidate in alternatives(stem, owner):
            if found := self.commit_as(staged, candidate + extension, file, owner):
                return found
        raise ApimartDestinationError(f"All names for {stem}{extension} are taken at {self.uri('')}")

    def shares_store(self, uri: str) -> bool:
        """Whether a file is in the same store, which can copy it by itself."""
        return False

    def copy_within(self, kept: SavedFile, version: str, stem: str, extension: str, owner: str) -> SavedFile:
        """
        Let the store copy one of its files to the first of its names that is free or its own.

        :param version: The store's tag of the content that is copied.
        :raises NotImplementedError: If :meth:`shares_store` is false for the file.
        """
        raise NotImplementedError

    def commit_as(self, staged: BinaryIO, name: str, file: SavedFile, owner: str) -> SavedFile | None:
        """
        Move a whole file from the staging folder to one name, in place of an earlier file of the same owner.

        :param file: The file's facts; the URI is added here.
        :return: ``None`` if the name is another's.
        """
        self._flush(staged)
        found = replace(file, uri=self.uri(name))
        receipt = Receipt(key_of_file(name), owner, name, found, posixpath.basename(staged.name))
        return found if self._place(staged, receipt) else None

    def claim(self, name: str, owner: str) -> bool:
        """Keep a name for an owner whose file is still to come, and return whether it has the name."""
        key = key_of_file(name)
        held = self.receipt(key)
        if held is None and self.size(name) is None:
            self._create(Receipt(key, owner, name, SavedFile(self.uri(name), 0, "", "")))
            held = self.receipt(key)
        return held is not None and held.owner == owner

    def _place(self, staged: BinaryIO, receipt: Receipt) -> bool:
        """Move a file to its name, and return whether that name was free or its own."""
        is_new = self.size(receipt.name) is None
        if is_new and self._create(receipt):
            return self._move_new(staged, receipt) or self._adopt(receipt)
        held = self.receipt(receipt.key)
        if held is None:
            return self._adopt(receipt)
        if held.owner != receipt.owner:
            return False
        if held.has_no_file:
            self._write(receipt)
            return (is_new and self._move_new(staged, receipt)) or self._adopt(receipt)
        is_free = is_new or held.name == receipt.name
        if is_free:
            self._write(replace(receipt, replaces=True))
            self._move(staged, receipt)
        return is_free

    def _adopt(self, receipt: Receipt) -> bool:
        """Claim a name of a file without a receipt: for its output if the content is the same."""
        is_same = self.size(receipt.name) == receipt.file.bytes and self._sha256(receipt.name) == receipt.file.sha256
        self._write(receipt if is_same else replace(receipt, owner=FOREIGN))
        return is_same

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""

    @abstractmethod
    def recover(self) -> None:
        """Finish what killed processes had fetched whole, and remove what they hadn't."""

    @abstractmethod
    def _flush(self, staged: BinaryIO) -> None:
        """Write what the staged file still holds in memory."""

    @abstractmethod
    def _read(self, name: str) -> bytes | None:
        """Return the content of a small file, ``None`` if there is none."""

    @abstractmethod
    def _sha256(self, name: str) -> str:
        """Return the hexadecimal digits of a file's SHA-256."""

    @abstractmethod
    def _create(self, receipt: Receipt) -> bool:
        """Write a receipt unless there is one under its key, and return whether it was written."""

    @abstractmethod
    def _write(self, receipt: Receipt) -> None:
        """Write a receipt, whether or not there is one."""

    @abstractmethod
    def _move_new(self, staged: BinaryIO, receipt: Receipt) -> bool:
        """Move a file to its name unless that is taken, and return whether it was moved."""

    @abstractmethod
    def _move(self, staged: BinaryIO, receipt: Receipt) -> None:
        """Move a file to its name, in place of an earlier file of the same output."""
