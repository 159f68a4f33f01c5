"""
Restricted reading from Airflow's object storage, for the pages.

The index and the ledgers are written by tasks, and can be edited by everyone who can write to their directory. So only
known kinds of storage are read, nothing outside of the directory in which a task saves, and on this machine no symbolic
links.
"""

from __future__ import annotations

import logging
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.paths import ATOMIC_PROTOCOLS, LOCAL_PROTOCOLS, storage_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

_REMOTE = ATOMIC_PROTOCOLS | {"sftp", "ssh", "hdfs"}


class NotReadableError(Exception):
    """
    A file can't be shown. The message is the reason, for the page.

    :param is_temporary: Whether it may be readable later: its storage has failed.
    """

    def __init__(self, reason: str, *, is_temporary: bool = False) -> None:
        super().__init__(reason)
        self.is_temporary = is_temporary


@dataclass(frozen=True)
class Location:
    """
    A location in a storage.

    :param scheme: Empty for a path of this machine.
    :param authority: The connection and the bucket, if there are any.
    """

    scheme: str
    authority: str
    path: PurePosixPath

    @classmethod
    def of(cls, uri: str) -> Location:
        """
        Return the location that a URI or an absolute path names.

        :raises NotReadableError: If it may not be read: its scheme is unknown, or it isn't absolute and plain.
        """
        scheme, is_uri, rest = uri.partition("://")
        if not is_uri:
            scheme, rest = "", uri
        scheme = "" if scheme.lower() in LOCAL_PROTOCOLS else scheme.lower()
        authority, slash, path = ("", "/", rest) if not scheme else rest.partition("/")
        parts = path.split("/")
        if scheme not in _REMOTE and scheme:
            raise NotReadableError(f"The pages don't read from {scheme}://")
        if "\0" in uri or ".." in parts or (not scheme and not path.startswith("/")) or not (slash or authority):
            raise NotReadableError("The file's path isn't absolute")
        return cls(scheme, authority, PurePosixPath("/", path.lstrip("/")))

    def is_below(self, folder: Location) -> bool:
        """Whether it is in a directory, at any depth."""
        same = (self.scheme, self.authority) == (folder.scheme, folder.authority)
        return same and self.path != folder.path and self.path.is_relative_to(folder.path)

    @property
    def uri(self) -> str:
        """The location as ``ObjectStoragePath`` takes it."""
        return f"{self.scheme}://{self.authority}{self.path}" if self.scheme else f"file://{self.path}"

    def opened(self) -> ObjectStoragePath:
        """
        Return the location in Airflow's object storage.

        :raises NotReadableError: If this process can't reach such a storage: its provider or its connection is missing.
        """
        try:
            return storage_path(self.uri)
        except ApimartDestinationError as error:
            log.warning("The pages of APIMart can't open %s: %s", self.uri, root_reason(error))
            raise NotReadableError(
                f"The API server can't open {self.scheme}://{self.authority}. Check that it has the provider and the "
                "connection for it; its log has the details",
                is_temporary=True,
            ) from error


class Source(Protocol):
    """The content of a file."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def read(self, start: int, length: int) -> bytes:
        """
        Return a part of it, shorter at its end.

        :raises NotReadableError: If it can't be read now.
        """


@dataclass(frozen=True)
class LocalSource:
    """
    An open file of this machine.

    :param file: The file, which is closed with it.
    """

    file: FileIO
    size: int

    def read(self, start: int, length: int) -> bytes:
        """Return a part of it."""
        with storage_errors():
            return os.pread(self.file.fileno(), length, start)


@dataclass(frozen=True)
class RemoteSource:
    """A file in an object storage."""

    path: ObjectStoragePath
    size: int

    def read(self, start: int, length: int) -> bytes:
        """Return a part of it."""
        end = min(self.size, start + length)
        with storage_errors():
            return bytes(self.path.fs.cat_file(self.path.path, start=start, end=end)) if end > start else b""


@contextmanager
def opened(uri: str, folder: str | None) -> Iterator[Source]:
    """
    Open a file in a directory.

    :param folder: URI of the directory, at any depth of which it may be; ``None`` permits nothing.
    :raises NotReadableError: If it may not be read, isn't there, or can't be read now.
    """
    location = Location.of(uri)
    if folder is None or not location.is_below(Location.of(folder)):
        raise NotReadableError("The file isn't in the directory of its task")
    if location.scheme:
        yield _remote(location)
        return
    with FileIO(_descriptor(location, Location.of(folder))) as file:
        yield LocalSource(file, os.fstat(file.fileno()).st_size)


def _descriptor(location: Location, folder: Location) -> int:
    """Return the descriptor of a regular file, which no symbolic link leads to from its directory on."""
    inside = location.path.relative_to(folder.path).parts
    try:
        at = os.open(Path(folder.path).resolve(strict=True), os.O_RDONLY | os.O_DIRECTORY)
        for number, part in enumerate(inside):
            kind = os.O_DIRECTORY if number < len(inside) - 1 else os.O_NONBLOCK
            try:
                below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=at)
            finally:
                os.close(at)
            at = below
    except FileNotFoundError as error:
        raise NotReadableError("The file is no longer there") from error
    except OSError as error:
        raise NotReadableError(f"The file can't be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(at).st_mode):
        os.close(at)
        raise NotReadableError("The file is no regular file")
    return at


def _remote(location: Location) -> RemoteSource:
    path = location.opened()
    with storage_errors():
        return RemoteSource(path, int(path.fs.info(path.path)["size"]))


@contextmanager
def storage_errors(what: str = "The file") -> Iterator[None]:
    """
    Raise every error of a storage as one class, whatever its library raises, and log its reason.

    :param what: What is read, for the message.
    :raises NotReadableError: Instead.
    """
    try:
        yield
    except NotReadableError:
        raise
    except FileNotFoundError as error:
        raise NotReadableError(f"{what} is no longer there") from error
    except Exception as error:
        # Any error: storage libraries raise errors of any class.
        reason = root_reason(error)
        log.warning("The pages of APIMart can't read: %s (%s)", what, reason)
        kind = reason.partition(":")[0]
        raise NotReadableError(
            f"{what} can't be read now ({kind}). The log of the API server has the details", is_temporary=True
        ) from error


TIMES = ("mtime", "LastModified", "last_modified", "updated")
"""Names under which storages say when a file was written."""


def signature(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what changes whenever a file changes, from what its storage says about it."""
    names = ("size", "ETag", "etag", *TIMES, "generation", "md5Hash", "ino")
    return tuple(f"{name}={info[name]}" for name in names if info.get(name) is not None)
