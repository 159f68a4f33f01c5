"""Stores of records for tests: Airflow's state store as a dictionary, and storages with limited features."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from tests.airflow_versions import lacks, reason


class StateStore:
    """Airflow's state store: values are JSON, and several processes may share the rows."""

    def __init__(self, rows: dict[str, str] | None = None) -> None:
        if lacks("state store"):
            pytest.skip(reason("state store"))
        self.rows = {} if rows is None else rows
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self._lock:
            return json.loads(self.rows[key]) if key in self.rows else None

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        with self._lock:
            self.rows[key] = json.dumps(value)


class Killed(BaseException):
    """The process dies here."""


class WholeFileSystem(MemoryFileSystem):
    """A storage that lists its files as they are at one moment, as a server does, whatever other threads remove."""

    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        while True:
            with suppress(KeyError):
                return super().ls(path, detail=detail, **kwargs)


class InPlaceFileSystem(WholeFileSystem):
    """
    A storage that writes in place, as WebHDFS and SFTP do: a killed writer leaves a part of the file.

    :param dies_after: How many bytes of the next file are written before the process dies.
    """

    protocol = "sftp"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    dies_after: ClassVar[int | None] = None

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        cut, type(self).dies_after = self.dies_after, None
        super().pipe_file(path, value if cut is None else value[:cut], mode=mode, **kwargs)
        if cut is not None:
            raise Killed

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode, **kwargs)
        if "w" in mode and self.dies_after is not None:
            file.write = _cut_off(file, self)
        return file

    def mv(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("this storage can't rename")


def _cut_off(file: Any, system: InPlaceFileSystem) -> Any:
    original = file.write

    def write(content: bytes) -> int:
        cut, type(system).dies_after = system.dies_after, None
        original(content[:cut])
        file.commit()
        raise Killed

    return write


class StaleFileSystem(WholeFileSystem):
    """A storage whose listings show what was there some writes ago, while reads by name are current."""

    protocol = "gs"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    lag = 3
    shown: ClassVar[list[set[str]]] = []

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        there = super().ls(path, detail=True, **kwargs)
        type(self).shown = [*self.shown, {each["name"] for each in there}][-self.lag - 1 :]
        old = self.shown[0] if len(self.shown) > self.lag else set()
        found = [each for each in there if each["name"] in old]
        return found if detail else [each["name"] for each in found]


class DiskFileSystem(LocalFileSystem):
    """Files of this machine under another protocol, so that processes share them."""

    protocol: ClassVar[str]

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return "/" + str(path).removeprefix(f"{cls.protocol}://").strip("/")


class InPlaceDiskFileSystem(DiskFileSystem):
    """Storage that writes in place: other processes see a part of a file, and a killed writer leaves it."""

    protocol = "sftp"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        half = len(value) // 2
        with Path(self._strip_protocol(path)).open("wb", buffering=0) as file:
            file.write(value[:half])
            time.sleep(0.005)
            file.write(value[half:])


class StaleDiskFileSystem(DiskFileSystem):
    """Object store whose listings show the names of some time ago, while reads by name are current."""

    protocol = "gs"
    lag_seconds = 0.7
    _REMOVED = ".removed-"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        final = Path(self._strip_protocol(path))
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.with_name(f".{final.name}.{secrets.token_hex(6)}")
        partial.write_bytes(value)
        partial.replace(final)

    def rm_file(self, path: str) -> None:
        file = Path(self._strip_protocol(path))
        os.utime(file)
        file.rename(file.with_name(f"{self._REMOVED}{file.name}"))

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        shown = [each for each in super().ls(path, detail=True) if self._is_shown(each)]
        for each in shown:
            each["name"] = each["name"].replace(self._REMOVED, "")
        return shown if detail else [each["name"] for each in shown]

    def _is_shown(self, entry: dict[str, Any]) -> bool:
        name, changed = Path(entry["name"]).name, time.time() - entry["mtime"]
        if name.startswith(self._REMOVED):
            return changed < self.lag_seconds
        return entry["type"] == "directory" or (not name.startswith(".") and changed >= self.lag_seconds)
