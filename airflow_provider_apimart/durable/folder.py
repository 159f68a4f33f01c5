"""Directory of small files in any object storage, read without cached listings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.atomic_write import is_atomic, remove_all_unfinished, write_whole
from airflow_provider_apimart.results.storage.listing import listed

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


class Folder:
    """
    A directory of small files.

    :param path: Its path; it need not exist.
    """

    def __init__(self, path: ObjectStoragePath) -> None:
        self.path = path
        self.writes_whole = is_atomic(path.protocol)

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> list[str]:
        """Return the names of its files and directories; there are none where it doesn't exist."""
        return [_name(each["name"]) for each in self._listed()]

    def directories(self) -> list[str]:
        """Return the names of its directories."""
        return sorted(_name(each["name"]) for each in self._listed() if each["type"] == "directory")

    def sizes(self) -> list[int]:
        """Return the sizes of its files."""
        return [int(each["size"] or 0) for each in self._listed() if each["type"] != "directory"]

    def _listed(self) -> list[Mapping[str, Any]]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return listed(self.path)
        return []

    def read(self, name: str) -> bytes:
        """
        Return the content of a file.

        :raises FileNotFoundError: If there is none.
        """
        return bytes(self.path.fs.cat_file((self.path / name).path))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with suppress(FileNotFoundError):
            self.read(name)
            return True
        return False

    def write(self, name: str, content: bytes) -> None:
        """
        Write a file.

        :raises ApimartDestinationError: If it can't be written, whatever its storage raises.
        """
        try:
            write_whole(self.path / name, content)
        except Exception as error:
            # Any error: storage libraries raise errors of any class.
            raise ApimartDestinationError(
                f"{self.path / name} could not be written ({root_reason(error)}). Nothing more is submitted. Fix the "
                "storage; a retry continues where this try stopped"
            ) from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self.path.fs.rm_file((self.path / name).path)

    def remove_partial(self) -> None:
        """Remove files that killed processes left half written. What another process writes now stays."""
        remove_all_unfinished(self.path)

    def remove_itself(self) -> None:
        """Remove the directory if it is empty; object stores have none."""
        with suppress(OSError, NotImplementedError):
            self.path.fs.rmdir(self.path.path)


def _name(path: str) -> str:
    return PurePosixPath(path.rstrip("/")).name
