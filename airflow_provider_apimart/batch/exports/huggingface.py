"""
Export ``huggingface``: the directory of the results as a data set of Hugging Face's ``datasets``.

``metadata.jsonl`` has one line for each file. The folder builders (``imagefolder``, ``videofolder``, ``audiofolder``)
read it from beside the files, and only under this name.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_apimart.api.media_type import MEDIA_PREFIXES
from airflow_provider_apimart.batch.exports.export_folder import ExportFolder
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry, json_lines
from airflow_provider_apimart.exceptions import ApimartDestinationError
from airflow_provider_apimart.results.storage.open_destination import destination_at, destination_errors
from airflow_provider_apimart.results.storage.receipts import SavedFile

log = logging.getLogger(__name__)

NAME = "metadata.jsonl"


def check(place: ExportFolder) -> None:
    """
    Claim ``metadata.jsonl`` for this batch, so that of several batches that begin at once only one pays.

    :raises ApimartDestinationError: If it is another batch's or somebody else's.
    """
    with destination_errors(place.folder):
        if not destination_at(place.folder).claim(NAME, _owner(place)):
            raise _taken(place)


def write(place: ExportFolder, entries: Sequence[LedgerEntry]) -> str:
    """
    Write ``metadata.jsonl`` and return its URI.

    :raises ApimartDestinationError: If it can't be written, or is another's.
    """
    lines, left_out = metadata(entries, place)
    if left_out:
        log.warning("%s leaves out files of another kind or outside of the destination: %d", NAME, left_out)
    content = json_lines(lines)
    file = SavedFile("", len(content), hashlib.sha256(content).hexdigest(), "application/jsonl")
    with destination_errors(place.folder):
        destination = destination_at(place.folder)
        with destination.staging.new_file(NAME) as staged:
            staged.write(content)
            written = destination.commit_as(staged, NAME, file, _owner(place))
    if written is None:
        raise _taken(place)
    return written.uri


def metadata(entries: Iterable[LedgerEntry], place: ExportFolder) -> tuple[list[Mapping[str, Any]], int]:
    """
    Return the lines, and the number of saved files that have none.

    The lines are of one kind of media, since a folder builder reads one kind: of images if there are any, else of
    videos, else of audio. They have no empty fields: the reader takes the types of the columns from the first lines.
    """
    found = list(_files(entries, place))
    kinds = {kind for _, kind in found if kind}
    chosen = next((kind for kind in MEDIA_PREFIXES if kind in kinds), None)
    lines = [line for line, kind in found if kind and kind == chosen]
    return lines, len(found) - len(lines)


def _files(entries: Iterable[LedgerEntry], place: ExportFolder) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Go through all saved files, with a line and the kind of each, ``None`` for the kind of one that has no line."""
    for entry in entries:
        for index, file in enumerate(entry.files):
            name, media_type = place.name_of(str(file["uri"])), str(file["media_type"])
            kind = next((kind for kind in MEDIA_PREFIXES if media_type.startswith(kind)), None)
            yield _line(entry, index, name or "", file), kind if name else None


def _line(entry: LedgerEntry, index: int, name: str, file: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "file_name": name,
        # The column that scripts for training take captions from.
        "text": entry.prompt or "",
        "id": entry.id,
        "index": index,
        "generation_id": entry.generation_id or "",
        "model": entry.model or "",
        "media_type": file["media_type"],
        "sha256": file["sha256"],
    }


def _owner(place: ExportFolder) -> str:
    return f"exports of {place.batch}"


def _taken(place: ExportFolder) -> ApimartDestinationError:
    return ApimartDestinationError(
        f"{place.folder} has a {NAME} of another batch or of somebody else, which isn't overwritten",
        advice="Give the batch a destination of its own, such as one with {{ run_id }}, or leave out "
        'exports=["huggingface"]',
    )
