"""Content of asset events and lineage events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.json_values import plain

#: Files and generations that are listed one by one at most: events stay in Airflow's database.
MOST_LISTED = 100


@dataclass(frozen=True)
class FileFacts:
    """
    One file of a generation.

    :param uri: URI in the user's storage, or the temporary URL at APIMart.
    :param sha256: SHA-256 in hexadecimal digits, if the file was read.
    :param size: Bytes, if the file was read.
    :param expires_at: Expiry of a temporary URL; ``None`` for a saved file.
    """

    uri: str
    sha256: str | None = None
    size: int | None = None
    expires_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return {"uri": self.uri, "sha256": self.sha256, "bytes": self.size, "expires_at": plain(self.expires_at)}


def saved_file(details: Mapping[str, Any]) -> FileFacts:
    """Return the facts of a saved file from its form in XCom and ledgers."""
    return FileFacts(details["uri"], details["sha256"], details["bytes"])


@dataclass(frozen=True)
class GenerationFacts:
    """
    One generation and its files.

    :param files: The files that were saved, or else the temporary URLs; see :func:`unsaved`.
    """

    generation: Generation
    files: tuple[FileFacts, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        generation = self.generation
        return {
            "generation_id": generation.generation_id,
            "modality": generation.modality and generation.modality.value,
            "model": generation.model,
            "key": generation.key,
            "status": generation.status.value if generation.status.is_final else generation.status_word,
            "prompt_sha256": generation.prompt_sha256,
            "requested": generation.requested,
            "reused": generation.reused,
            "cost": plain(generation.cost),
            "files": [file.to_json() for file in self.files],
        }


def unsaved(generation: Generation) -> GenerationFacts:
    """Return the facts of a generation whose files are at their temporary URLs only."""
    with_url = (output for output in generation.outputs if output.url)
    return GenerationFacts(generation, tuple(FileFacts(each.url, expires_at=each.expires_at) for each in with_url))


def generation_facts(generation: Generation, files: Iterable[Mapping[str, Any]] | None) -> GenerationFacts:
    """
    Return the facts of a generation.

    :param files: Its saved files in XCom form, ``None`` if nothing is saved.
    """
    return unsaved(generation) if files is None else GenerationFacts(generation, tuple(map(saved_file, files)))


@dataclass(frozen=True)
class TaskFacts:
    """
    All generations and files of a task.

    :param listed: The first generations, with at most :data:`MOST_LISTED` files among them.
    :param generation_count: Number of all generations.
    :param file_count: Number of all files.
    :param reused_count: Number of generations that were reused from the library.
    :param cost: US dollars for all of them, as far as APIMart reported; ``None`` if it reported none.
    :param destination: URI of the directory with the saved files.
    :param ledger: URI of the file with every generation.
    """

    listed: tuple[GenerationFacts, ...]
    generation_count: int
    file_count: int
    reused_count: int
    cost: Decimal | None
    destination: str | None = None
    ledger: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON: the ``extra`` of an asset event."""
        return {
            "generation_count": self.generation_count,
            "file_count": self.file_count,
            "reused_count": self.reused_count,
            "cost": plain(self.cost),
            "destination": self.destination,
            "ledger": self.ledger,
            "generations": [generation.to_json() for generation in self.listed],
        }


def task_facts(
    made: Iterable[GenerationFacts], *, destination: str | None = None, ledger: str | None = None
) -> TaskFacts:
    """
    Return the facts of a task with any number of generations.

    :param made: All generations in their order. They are iterated once and not kept.
    """
    listed: list[GenerationFacts] = []
    generation_count = file_count = reused_count = 0
    costs: list[Decimal] = []
    for facts in made:
        if generation_count < MOST_LISTED and file_count < MOST_LISTED:
            listed.append(GenerationFacts(facts.generation, facts.files[: MOST_LISTED - file_count]))
        generation_count += 1
        file_count += len(facts.files)
        reused_count += facts.generation.reused is not None
        if facts.generation.cost is not None:
            costs.append(facts.generation.cost)
    cost = sum(costs, Decimal(0)) if costs else None
    return TaskFacts(tuple(listed), generation_count, file_count, reused_count, cost, destination, ledger)
