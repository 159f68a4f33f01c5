"""
Destination in an object store, which receives whole temporary files of this machine.

A file is uploaded under its final name where an upload appears at once, otherwise under a temporary name from which it
is moved.
"""

from __future__ import annotations

import errno
import hashlib
import posixpath
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.destination import Destination
from airflow_provider_apimart.results.storage.file_names import alternatives
from airflow_provider_apimart.results.storage.paths import (
    ATOMIC_PROTOCOLS,
    CONTENT_TYPE_ARGUMENTS,
    S3_PROTOCOLS,
    StorageUri,
    storage_path,
)
from airflow_provider_apimart.results.storage.receipts import FOLDER, Receipt, SavedFile, key_of_file, receipt_name
from airflow_provider_apimart.results.storage.staging import PARTIAL_FOLDER, Staging, private_folder

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

# The storage libraries hold several parts of a large file in memory at once.
_PART_BYTES = 5 * 1024 * 1024
# S3's limit of a copy in one request.
_COPIED_AT_ONCE = 5 * 1024**3
# Errors of a store that has no conditional writes.
_NO_CONDITIONS = (errno.ENOSYS, errno.EINVAL)
_README = (
    b"Receipts of airflow-provider-apimart: the owner of each file beside them, for retries and other tasks.\n"
    b"Without them, a retry fetches its files again, and saves them under other names if their content has changed.\n"
)


class ObjectStoreDestination(Destination):
    """A store that is reached through the network."""

    def __init__(self, root: ObjectStoragePath) -> None:
        super().__init__(root, Staging(private_folder()))
        self._store = root.fs
        self._writes_whole = root.protocol in ATOMIC_PROTOCOLS
        self._content_type = CONTENT_TYPE_ARGUMENTS.get(root.protocol)
        self._has_conditions = self._content_type is not None
        self._listed: dict[str, frozenset[str] | None] = {}
        self._shared: dict[str, bool] = {}

    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""
        with suppress(FileNotFoundError):
            path = self._path(name)
            # Its library remembers listings, and other tasks write too.
            self._store.invalidate_cache(posixpath.dirname(path))
            return int(self._store.info(path)["size"])
        return None

    def recover(self) -> None:
        """Remove what killed processes left on this machine, and write a first object, before anything is paid for."""
        for _ in self.staging.left_behind():
            pass
        # As a result is: by way of a file on this machine, which may be full.
        with self.staging.new_file("README") as file:
            file.write(_README)
            file.flush()
            self._put_file(file.name, f"{FOLDER}/README.txt", "text/plain")

    def shares_store(self, uri: str) -> bool:
        """Whether a file is in the same store, which can copy it by itself."""
        place = uri.removesuffix(StorageUri.of(uri).path)
        if place not in self._shared:
            self._shared[place] = bool(storage_path(uri).fs == self._store)
        return self._has_conditions and self._shared[place]

    def copy_within(self, kept: SavedFile, version: str, stem: str, extension: str, owner: str) -> SavedFile:
        """
        Let the store copy one of its files to the first of its names that is free or its own.

        :param version: The store's tag of the content that is copied.
        """
        source = StorageUri.of(kept.uri).key
        for candidate in alternatives(stem, owner):
            name = candidate + extension
            receipt = Receipt(key_of_file(name), owner, name, replace(kept, uri=self.uri(name)))
            if self._copied(source, version, receipt):
                return receipt.file
        raise ApimartDestinationError(f"All names for {stem}{extension} are taken at {self.uri('')}")

    def _copied(self, source: str, version: str, receipt: Receipt) -> bool:
        """Copy a file to its name, and return whether that name was free or its own."""
        if self._create(receipt):
            if not self._is_free(receipt.name):
                return self._adopt(receipt)
            with self._unclaimed_on_error(receipt):
                self._copy(source, version, receipt)
            return True
        held = self.receipt(receipt.key)
        if held is None or held.owner != receipt.owner:
            return False
        is_there = held.name == receipt.name and self.size(held.name) == receipt.file.bytes
        if is_there and held.file.sha256 == receipt.file.sha256:
            return True
        if held.name != receipt.name and not self._is_free(receipt.name):
            return False
        self._write(receipt)
        self._copy(source, version, receipt)
        return True

    def _copy(self, source: str, version: str, receipt: Receipt) -> None:
        copy = self._path(receipt.name)
        if self._root.protocol not in S3_PROTOCOLS:
            self._store.cp_file(source, copy)
        elif receipt.file.bytes > _COPIED_AT_ONCE:
            self._store.cp_file(source, copy, CopySourceIfMatch=version)
        else:
            # One request, where its library asks for the size first. S3 compares the tag in the moment of the copy.
            from_bucket, _, from_key = source.partition("/")
            bucket, _, key = copy.partition("/")
            self._store.call_s3(
                "copy_object",
                CopySource={"Bucket": from_bucket, "Key": from_key},
                CopySourceIfMatch=version,
                Bucket=bucket,
                Key=key,
            )

    def _is_free(self, name: str) -> bool:
        """Whether there is no file of a name, by the folder as it was at the first question, or by one request."""
        path = self._path(name)
        folder, _, last = path.rpartition("/")
        if self._root.protocol in S3_PROTOCOLS and folder not in self._listed:
            self._listed[folder] = self._names_of_small(folder)
        names = self._listed.get(folder)
        return path not in (self._store.find(folder, prefix=last) if names is None else names)

    def _names_of_small(self, folder: str) -> frozenset[str] | None:
        """Return what is in a folder if one request lists it, ``None`` for a larger one."""
        bucket, _, prefix = folder.partition("/")
        found = self._store.call_s3("list_objects_v2", Bucket=bucket, Prefix=f"{prefix}/".lstrip("/"))
        names = frozenset(f"{bucket}/{each['Key']}" for each in found.get("Contents", ()))
        return None if found.get("IsTruncated") else names

    @contextmanager
    def _unclaimed_on_error(self, receipt: Receipt) -> Iterator[None]:
        """Give a name up that was claimed for a copy which failed."""
        try:
            yield
        except Exception:
            with suppress(Exception):
                self._store.rm_file(self._path(receipt_name(receipt.key)))
            raise

    def _flush(self, staged: BinaryIO) -> None:
        staged.flush()

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return bytes(self._store.cat_file(self._path(name)))
        return None

    def _sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._store.open(self._path(name), "rb") as file:
            while block := file.read(_PART_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def _create(self, receipt: Receipt) -> bool:
        name, content = receipt_name(receipt.key), receipt.to_bytes()
        is_written = self._put_bytes(name, content, "application/json", new=True)
        # Without conditional writes, the last of two writers has the name.
        return is_written and (self._has_conditions or self._read(name) == content)

    def _write(self, receipt: Receipt) -> None:
        self._put_bytes(receipt_name(receipt.key), receipt.to_bytes(), "application/json")

    def _move_new(self, staged: BinaryIO, receipt: Receipt) -> bool:
        return self._put_file(staged.name, receipt.name, receipt.file.media_type, new=True)

    def _move(self, staged: BinaryIO, receipt: Receipt) -> None:
        self._put_file(staged.name, receipt.name, receipt.file.media_type)

    def _put_bytes(self, name: str, content: bytes, media_type: str, *, new: bool = False) -> bool:
        def pipe(path: str, **options: Any) -> None:
            self._store.pipe_file(path, content, **options)

        return self._put(pipe, name, media_type, new=new)

    def _put_file(self, local: str, name: str, media_type: str, *, new: bool = False) -> bool:
        options = {"chunksize": _PART_BYTES} if self._content_type else {}
        return self._put(partial(self._store.put_file, local, **options), name, media_type, new=new)

    def _put(self, upload: Callable[..., None], name: str, media_type: str, *, new: bool = False) -> bool:
        """
        Upload a file.

        :param upload: Takes the path of the object and the store's options.
        :param new: Whether to upload it only if there is none.
        :return: Whether it was uploaded.
        """
        if new and self._has_conditions:
            try:
                self._put_whole(upload, name, media_type, mode="create")
            except FileExistsError:
                return False
            except TypeError:
                # The library for Google Cloud Storage before 2024.12.
                self._has_conditions = False
            except OSError as error:
                if error.errno not in _NO_CONDITIONS:
                    raise
                self._has_conditions = False
            else:
                return True
        if new and self.size(name) is not None:
            return False
        self._put_whole(upload, name, media_type)
        return True

    def _put_whole(self, upload: Callable[..., None], name: str, media_type: str, **options: Any) -> None:
        final = self._path(name)
        if self._writes_whole:
            details = {self._content_type: media_type} if self._content_type else {}
            upload(final, **details, **options)
            return
        unfinished = self._path(f"{FOLDER}/{PARTIAL_FOLDER}/{secrets.token_hex(16)}")
        for path in (unfinished, final):
            self._store.makedirs(posixpath.dirname(path), exist_ok=True)
        self._upload_and_move(upload, unfinished, final)

    def _upload_and_move(self, upload: Callable[..., None], unfinished: str, final: str) -> None:
        try:
            upload(unfinished)
            self._store.mv(unfinished, final)
        except BaseException:
            with suppress(Exception):
                self._store.rm_file(unfinished)
            raise

    def _path(self, name: str) -> str:
        return posixpath.join(self._root.path, name)
