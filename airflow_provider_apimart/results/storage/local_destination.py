"""Destination on this machine: a file is linked to its name from a hidden folder."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_apimart.results.storage.destination import Destination
from airflow_provider_apimart.results.storage.receipts import FOLDER, Receipt, receipt_name
from airflow_provider_apimart.results.storage.staging import PARTIAL_FOLDER, Staging

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


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
            return _link(Path(file.name), self._folder / receipt_name(receipt.key))

    def _write(self, receipt: Receipt) -> None:
        with self.staging.new_file(receipt.key) as file:
            file.write(receipt.to_bytes())
            file.flush()
            os.replace(file.name, self._folder / receipt_name(receipt.key))

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
