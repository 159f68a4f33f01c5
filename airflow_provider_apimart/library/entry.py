"""Entry of the library: one generation that was completed and saved, and its strict JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.generation import Generation, Output, OutputKind
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject, moment, money, plain, text
from airflow_provider_apimart.api.media_type import MEDIA_PREFIXES
from airflow_provider_apimart.api.payload import prompt_sha256, requested_outputs
from airflow_provider_apimart.durable.checksummed_json import checked_json, with_checksum
from airflow_provider_apimart.results.storage.kept_file import KeptFile
from airflow_provider_apimart.results.storage.receipts import saved_file_from_json

#: Version of the stored form. An entry of another version is no entry.
VERSION = 1

_MARK = "apimart_result"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y%m%dT%H%M%S"
_NAME = re.compile(r"(?P<identity>[0-9a-f]{64})\.(?P<completed>\d{8}T\d{6})\.[0-9a-f]{16}\.json")
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "identity": str,
    "generation_id": str,
    "modality": str,
    "request": Mapping,
    "files": list,
    "cost": (int, float, type(None)),
    "completed": str,
    "result": Mapping,
    "made_by": Mapping,
}


@dataclass(frozen=True)
class Maker:
    """The task that made a generation, and the item of its batch."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    item: str | None = None


@dataclass(frozen=True)
class EntryFile:
    """
    One saved output.

    :param kind: Kind of the output.
    """

    kept: KeptFile
    kind: OutputKind


@dataclass(frozen=True)
class LibraryEntry:
    """
    One generation that was completed and saved.

    :param identity: The identity of its request; see :mod:`~airflow_provider_apimart.library.request_identity`.
    :param generation_id: APIMart's id, or a digest of the files where it has none.
    :param request: The request, in which files are named by the SHA-256 of their content.
    :param cost: US dollars that it cost, ``None`` if APIMart didn't report it.
    :param completed: Time of the completion, to the second.
    :param result: Values of the result other than media, such as lyrics.
    :param made_by: The task that made and saved it.
    """

    identity: str
    generation_id: str
    modality: Modality
    request: JsonObject
    files: tuple[EntryFile, ...]
    cost: Decimal | None
    completed: datetime
    made_by: Maker
    result: JsonObject = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its file, which no other generation has."""
        digest = hashlib.sha256(self.generation_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{self.identity}.{self.completed.astimezone(UTC):{_TIME}}.{digest}.json"

    @property
    def order(self) -> tuple[datetime, str]:
        """The order in which entries of one identity are reused."""
        return self.completed, self.generation_id

    def generation(self) -> Generation:
        """Return the generation as a task returns it that reuses it: it costs nothing, and has no URLs."""
        return Generation(
            generation_id=self.generation_id,
            status=GenerationStatus.COMPLETED,
            status_word=GenerationStatus.COMPLETED.value,
            modality=self.modality,
            model=self.request.get("model"),
            prompt_sha256=prompt_sha256(self.request.get("prompt")),
            requested=requested_outputs(self.modality, self.request),
            outputs=tuple(Output("", file.kind) for file in self.files),
            cost=Decimal(0),
            credits_cost=Decimal(0),
            completed=self.completed,
            result=self.result,
            reused=self.generation_id,
        )

    def to_bytes(self) -> bytes:
        """Return the content of its file."""
        written = {
            _MARK: VERSION,
            "identity": self.identity,
            "generation_id": self.generation_id,
            "modality": self.modality.value,
            "request": self.request,
            "files": [_file_to_json(file) for file in self.files],
            "cost": plain(self.cost),
            "completed": plain(self.completed),
            "result": plain(self.result),
            "made_by": asdict(self.made_by),
        }
        return with_checksum(written).encode()


def entry_from_bytes(name: str, content: bytes) -> LibraryEntry:
    """
    Return the entry that :meth:`LibraryEntry.to_bytes` wrote.

    :param name: The name of its file.
    :raises ValueError: If it is none: damaged, foreign, or of another version.
    """
    said = checked_json(content.decode())
    if not isinstance(said, Mapping) or said.get(_MARK) != VERSION:
        raise ValueError(f"{name} is no entry of version {VERSION}")
    for each, expected in _FIELDS.items():
        if not isinstance(said.get(each), expected) or isinstance(said[each], bool):
            raise ValueError(f"the field {each!r} of {name} holds {type(said.get(each)).__name__}")
    completed = moment(said["completed"])
    if completed is None or not _SHA256.fullmatch(said["identity"]):
        raise ValueError(f"{name} lacks an identity or a time")
    if said["generation_id"] != text(said["generation_id"]):
        raise ValueError(f"{name} has an invalid generation id")
    entry = LibraryEntry(
        identity=said["identity"],
        generation_id=said["generation_id"],
        modality=Modality(said["modality"]),
        request=said["request"],
        files=tuple(map(_file_from_json, said["files"])),
        cost=_cost(said["cost"]),
        completed=completed,
        made_by=_maker(said["made_by"]),
        result=said["result"],
    )
    if not entry.files or entry.name != name:
        raise ValueError(f"{name} has no files, or was written as {entry.name}")
    return entry


def identity_and_time(name: str) -> tuple[str, datetime] | None:
    """Return the identity and the time of completion in the name of an entry's file, ``None`` if it is another file."""
    found = _NAME.fullmatch(name)
    try:
        return (found["identity"], datetime.strptime(found["completed"], _TIME).replace(tzinfo=UTC)) if found else None
    except ValueError:
        return None


def _file_to_json(file: EntryFile) -> dict[str, Any]:
    return {**file.kept.file.to_json(), "kind": file.kind.value, "version": file.kept.version}


def _file_from_json(value: object) -> EntryFile:
    if not isinstance(value, Mapping):
        raise ValueError("a file of it is no object")
    saved, version = saved_file_from_json(value), value.get("version")
    if not _SHA256.fullmatch(saved.sha256) or not saved.media_type.startswith(MEDIA_PREFIXES) or saved.bytes < 0:
        raise ValueError(f"this describes no saved image, video or audio: {dict(value)}")
    if saved.uri != text(saved.uri):
        raise ValueError("the URI of a file is invalid")
    if not isinstance(version, str | None):
        raise ValueError(f"the version of a file is {type(version).__name__}")
    return EntryFile(KeptFile(saved, version), OutputKind(str(value.get("kind"))))


def _cost(value: object) -> Decimal | None:
    found = money(value)
    return found if found is not None and found >= 0 else None


def _maker(value: JsonObject) -> Maker:
    item, map_index = value.get("item"), value.get("map_index")
    if not isinstance(map_index, int) or not isinstance(item, str | None):
        raise ValueError("the maker of it is none")
    return Maker(str(value.get("dag_id")), str(value.get("task_id")), str(value.get("run_id")), map_index, item)
