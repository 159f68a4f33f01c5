"""
Destinations: directories and object stores in which results are saved whole, each under a name of its own.

A name is claimed by creating its receipt, which fails if it exists, and only then taken by the file, which replaces
nothing but an earlier file of the same output. A name that is taken leads to the next of
:func:`~airflow_provider_apimart.results.storage.file_names.alternatives`.

A local file is linked from a hidden folder of the destination. A store receives a whole temporary file of this machine:
under its final name where an upload appears at once, otherwise under a temporary one from which it is moved.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_provider_apimart.exceptions import ApimartDestinationError, ApimartError
from airflow_provider_apimart.results.storage.file_names import alternatives
from airflow_provider_apimart.results.storage.receipts import (
    FOLDER,
    FOREIGN,
    KeptFileLostError,
    Receipt,
    SavedFile,
    key_of,
    receipt_from_bytes,
)
from airflow_provider_apimart.results.storage.staging import Staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

PARTIAL_FOLDER = "partial"
"""Directory of files on their way, below that of the receipts."""

_LOCAL = ("", "file", "local")
# Uploads to these appear when they are whole. The value is the argument that takes the media type.
_CONTENT_TYPE_OF_STORE = {"s3": "ContentType", "s3a": "ContentType", "gs": "content_type", "gcs": "content_type"}
_S3 = ("s3", "s3a")
# Their libraries hold several parts of a large file in memory at once.
_PART_BYTES = 5 * 1024 * 1024
# S3's limit of a copy in one request.
_COPIED_AT_ONCE = 5 * 1024**3
_WHOLE_OR_NOTHING = (*_CONTENT_TYPE_OF_STORE, "abfs", "abfss", "adl", "az", "wasb", "wasbs")
# Errors of a store that has no conditional writes.
_NO_CONDITIONS = (errno.ENOSYS, errno.EINVAL)
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google[gcsfs]"),
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "wasb", "wasbs"), "apache-airflow-providers-microsoft-azure"),
    **dict.fromkeys(("sftp", "ssh"), "apache-airflow-providers-sftp[sshfs]"),
}
_README = (
    b"Receipts of airflow-provider-apimart, which tell retries and other tasks the owner of each file beside them.\n"
    b"Without them, a retry fetches its files again, and saves them under other names if their content has changed.\n"
)


@contextmanager
def destination_errors(destination: str) -> Iterator[None]:
    """
    Raise every error of a destination as one class, whatever its library raises.

    :raises ApimartDestinationError: Instead of any error but an :class:`ApimartError` and a
        :class:`~airflow_provider_apimart.results.storage.receipts.KeptFileLostError`.
    """
    from airflow_provider_apimart.api.error_mapping import root_reason

    try:
        yield
    except (ApimartError, KeptFileLostError):
        raise
    except Exception as error:
        raise ApimartDestinationError(
            f"{destination} can't be written: {root_reason(error)}. Fix it and clear the task; saving again costs "
            "nothing while the URLs live"
        ) from error


def uri_of(path: ObjectStoragePath) -> str:
    """Return the URI of a path as ``ObjectStoragePath`` takes it, with the connection's id on every version."""
    # Only below Airflow 3.2 is it among the options, and only from then on an attribute.
    uri, conn_id = str(path), path.storage_options.get("conn_id") or getattr(path, "conn_id", None)
    connection = f"://{conn_id}@"
    return uri if conn_id is None or connection in uri else uri.replace("://", connection, 1)


class Destination(ABC):
    """
    A directory or an object store for files.

    :param root: The directory of all files.
    :param staging: The folder of partial files.
    """

    def __init__(self, root: ObjectStoragePath, staging: Staging) -> None:
        self._root = root
        self.staging = staging

    def uri(self, name: str) -> str:
        """Return the URI of a file, as ``ObjectStoragePath`` takes it."""
        return uri_of(self._root / name)

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt under a key, ``None`` if there is none."""
        content = self._read(_receipt_name(key))
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
        """Whether a file lies in the same store, which can copy it by itself."""
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
        receipt = Receipt(_key_of_file(name), owner, name, found, posixpath.basename(staged.name))
        return found if self._place(staged, receipt) else None

    def may_write(self, name: str, owner: str) -> bool:
        """Whether :meth:`commit_as` would give an owner this name now."""
        held = self.receipt(_key_of_file(name))
        return self.size(name) is None if held is None else held.owner == owner

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
        is_free = is_new or held.name == receipt.name
        if is_free:
            self._write(replace(receipt, replaces=True))
            self._move(staged, receipt)
        return is_free

    def _adopt(self, receipt: Receipt) -> bool:
        """Claim a name under which a file without receipt lies: for its output if the content is the same."""
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


def destination_at(destination: str | ObjectStoragePath) -> Destination:
    """
    Return the destination that a path or URI names.

    :raises ApimartDestinationError: If the library of its storage isn't installed.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(destination)
        return LocalDestination(path) if path.protocol in _LOCAL else ObjectStoreDestination(path)
    except (ImportError, KeyError, ValueError) as error:
        # Airflow raises any of these for a scheme that no installed provider serves.
        scheme = str(destination).partition("://")[0]
        if isinstance(error, ImportError) or f"'{scheme}'" in str(error) or "No filesystem" in str(error):
            wanted = _EXTRAS.get(scheme, f"the Airflow provider that serves {scheme}://")
            raise ApimartDestinationError(
                f"{destination} can't be written: the storage {scheme}:// isn't installed. Install {wanted} on all "
                "workers; nothing was saved"
            ) from error
        raise


def _key_of_file(name: str) -> str:
    return key_of(posixpath.splitext(name)[0])


def _receipt_name(key: str) -> str:
    return f"{FOLDER}/{key}.json"


class LocalDestination(Destination):
    """A directory of this machine, or one that looks like it."""

    def __init__(self, root: ObjectStoragePath) -> None:
        self._folder = Path(root.path)
        super().__init__(root, Staging(self._folder / FOLDER / PARTIAL_FOLDER))

    def size(self, name: str) -> int | None:
        """Return the size of a file, ``None`` if there is none."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self._folder / name).stat().st_size
        return None

    def recover(self) -> None:
        """Move what killed processes had written a receipt for, and remove the rest."""
        for path in self.staging.left_behind():
            receipt = self.receipt(path.name.partition(".")[0])
            if receipt is None or receipt.staged != path.name:
                continue
            final = self._final(receipt.name)
            if receipt.replaces:
                path.replace(final)
            elif not _link(path, final):
                self._adopt(receipt)

    def _flush(self, staged: BinaryIO) -> None:
        staged.flush()
        os.fsync(staged.fileno())

    def _read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    def _sha256(self, name: str) -> str:
        with (self._folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _create(self, receipt: Receipt) -> bool:
        # Whole or not at all: half a receipt would claim the name for a foreign file.
        with self.staging.new_file(receipt.key) as file:
            file.write(receipt.to_bytes())
            file.flush()
            return _link(Path(file.name), self._folder / _receipt_name(receipt.key))

    def _write(self, receipt: Receipt) -> None:
        with self.staging.new_file(receipt.key) as file:
            file.write(receipt.to_bytes())
            file.flush()
            os.replace(file.name, self._folder / _receipt_name(receipt.key))

    def _move_new(self, staged: BinaryIO, receipt: Receipt) -> bool:
        return _link(Path(staged.name), self._final(receipt.name))

    def _move(self, staged: BinaryIO, receipt: Receipt) -> None:
        Path(staged.name).replace(self._final(receipt.name))

    def _final(self, name: str) -> Path:
        final = self._folder / name
        final.parent.mkdir(parents=True, exist_ok=True)
        return final


def _link(path: Path, final: Path) -> bool:
    """Give a file a further name unless that is taken, and return whether it has it."""
    try:
        final.hardlink_to(path)
    except FileExistsError:
        return False
    except OSError:
        # Not every file system has links. An empty file holds the name for a moment then.
        try:
            final.open("xb").close()
        except FileExistsError:
            return False
        path.replace(final)
    return True


class ObjectStoreDestination(Destination):
    """A store that is reached through the network."""

    def __init__(self, root: ObjectStoragePath) -> None:
        super().__init__(root, Staging(private_folder()))
        self._store = root.fs
        self._writes_whole = root.protocol in _WHOLE_OR_NOTHING
        self._content_type = _CONTENT_TYPE_OF_STORE.get(root.protocol)
        self._has_conditions = self._content_type is not None
        self._listed: dict[str, frozenset[str] | None] = {}

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
        self._put_bytes(f"{FOLDER}/README.txt", _README, "text/plain")

    def shares_store(self, uri: str) -> bool:
        """Whether a file lies in the same store, which can copy it by itself."""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        return self._has_conditions and bool(ObjectStoragePath(uri).fs == self._store)

    def copy_within(self, kept: SavedFile, version: str, stem: str, extension: str, owner: str) -> SavedFile:
        """
        Let the store copy one of its files to the first of its names that is free or its own.

        :param version: The store's tag of the content that is copied.
        """
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        source = ObjectStoragePath(kept.uri).path
        for candidate in alternatives(stem, owner):
            name = candidate + extension
            receipt = Receipt(_key_of_file(name), owner, name, replace(kept, uri=self.uri(name)))
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
        if self._root.protocol not in _S3:
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
        if self._root.protocol in _S3 and folder not in self._listed:
            self._listed[folder] = self._names_of_small(folder)
        names = self._listed.get(folder)
        return path not in (self._store.find(folder, prefix=last) if names is None else names)

    def _names_of_small(self, folder: str) -> frozenset[str] | None:
        """Return what lies in a folder if one request lists it, ``None`` for a larger one."""
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
                self._store.rm_file(self._path(_receipt_name(receipt.key)))
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
        name, content = _receipt_name(receipt.key), receipt.to_bytes()
        is_written = self._put_bytes(name, content, "application/json", new=True)
        # Without conditional writes, the last of two writers has the name.
        return is_written and (self._has_conditions or self._read(name) == content)

    def _write(self, receipt: Receipt) -> None:
        self._put_bytes(_receipt_name(receipt.key), receipt.to_bytes(), "application/json")

    def _move_new(self, staged: BinaryIO, receipt: Receipt) -> bool:
        return self._put(staged.name, receipt.name, receipt.file.media_type, new=True)

    def _move(self, staged: BinaryIO, receipt: Receipt) -> None:
        self._put(staged.name, receipt.name, receipt.file.media_type)

    def _put_bytes(self, name: str, content: bytes, media_type: str, *, new: bool = False) -> bool:
        with self.staging.new_file(posixpath.basename(name)) as file:
            file.write(content)
            file.flush()
            return self._put(file.name, name, media_type, new=new)

    def _put(self, local: str, name: str, media_type: str, *, new: bool = False) -> bool:
        """
        Upload a file.

        :param new: Whether to upload it only if there is none.
        :return: Whether it was uploaded.
        """
        if new and self._has_conditions:
            try:
                self._put_whole(local, name, media_type, mode="create")
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_CONDITIONS:
                    raise
                self._has_conditions = False
            else:
                return True
        if new and self.size(name) is not None:
            return False
        self._put_whole(local, name, media_type)
        return True

    def _put_whole(self, local: str, name: str, media_type: str, **options: Any) -> None:
        final = self._path(name)
        if self._writes_whole:
            details = {self._content_type: media_type, "chunksize": _PART_BYTES} if self._content_type else {}
            self._store.put_file(local, final, **details, **options)
            return
        partial = self._path(f"{FOLDER}/{PARTIAL_FOLDER}/{secrets.token_hex(16)}")
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


def private_folder() -> Path:
    """
    Return this user's directory for files on their way to a store.

    :raises PermissionError: If it is another user's.
    """
    folder = Path(tempfile.gettempdir()) / f"apimart-results-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder
