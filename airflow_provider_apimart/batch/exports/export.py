"""Exports of a batch: which there are, what is checked before the batch starts, and what is written when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_apimart.batch.exports import huggingface, parquet
from airflow_provider_apimart.batch.exports.export_folder import ExportFolder
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry


@dataclass(frozen=True)
class Format:
    """
    A format of exports.

    :param check: Raises an error if the export can't be written.
    :param write: Writes the export, in place of that of an earlier try, and returns its URI.
    """

    check: Callable[[ExportFolder], None]
    write: Callable[[ExportFolder, Sequence[LedgerEntry]], str]


_FORMATS: Mapping[str, Format] = {
    "huggingface": Format(huggingface.check, huggingface.write),
    "parquet": Format(parquet.check, parquet.write),
}


@dataclass(frozen=True)
class Exports:
    """
    The exports that an operator asks for.

    :param names: Names of formats.
    """

    names: Sequence[str]
    place: ExportFolder

    def check(self) -> None:
        """
        Check that the exports can be written, before anything is paid for.

        :raises ApimartConfigurationError: If the library of a format isn't installed.
        :raises ApimartDestinationError: If a file of another batch or of somebody else has an export's name.
        """
        for name in self.names:
            _FORMATS[name].check(self.place)

    def write(self, entries: Sequence[LedgerEntry]) -> dict[str, str]:
        """
        Write the exports, and return their URIs by their names. Nothing is written for a batch without items.

        :param entries: The lines of the ledger.
        :raises ApimartDestinationError: If one can't be written. A retry writes it, and pays for nothing again.
        """
        return {name: _FORMATS[name].write(self.place, entries) for name in self.names if entries}
