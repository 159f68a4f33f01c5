"""What a task has made, as asset events and lineage tell it: bounded, plain, and without Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.json_values import plain

#: How many files, and how many generations, are told of one by one: events lie in Airflow's database for good.
MOST_TOLD = 100


@dataclass(frozen=True)
class FileFacts:
    """
    One file that a generation made.

    :param uri: Where it is: in the user's storage, or at APIMart for a day.
    :param sha256: Hexadecimal digits of its SHA-256, where the file was read.
    :param size: Bytes, where the file was read.
    :param expires_at: When a temporary URL dies; ``None`` for a file that was saved.
    """

    uri: str
    sha256: str | None = None
    size: int | None = None
    expires_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON."""
        return {"uri": self.uri, "sha256": self.sha256, "bytes": self.size, "expires_at": plain(self.expires_at)}


def saved_file(told: Mapping[str, Any]) -> FileFacts:
    """Return the facts of a file that was saved, as XCom and ledgers tell of it."""
    return FileFacts(told["uri"], told["sha256"], told["bytes"])


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
            "status": generation.status.value if generation.status.is_final else generation.status_word,
            "prompt_sha256": generation.prompt_sha256,
            "requested": generation.requested,
            "cost": plain(generation.cost),
            "files": [file.to_json() for file in self.files],
        }


def unsaved(generation: Generation) -> GenerationFacts:
    """Return the facts of a generation whose files lie at their temporary URLs only."""
    with_url = (output for output in generation.outputs if output.url)
    return GenerationFacts(generation, tuple(FileFacts(each.url, expires_at=each.expires_at) for each in with_url))


@dataclass(frozen=True)
class TaskFacts:
    """
    All that a task has made.

    :param told: The first of the generations, with at most :data:`MOST_TOLD` files among them.
    :param generation_count: How many generations there are, told or not.
    :param file_count: How many files there are, told or not.
    :param cost: US dollars for all of them, as far as APIMart said; ``None`` where it said nothing.
    :param destination: The directory that holds the saved files, as a URI.
    :param ledger: URI of the file that tells of every generation.
    """

    told: tuple[GenerationFacts, ...]
    generation_count: int
    file_count: int
    cost: Decimal | None
    destination: str | None = None
    ledger: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON: the ``extra`` of an asset event."""
        return {
            "generation_count": self.generation_count,
            "file_count": self.file_count,
            "cost": plain(self.cost),
            "destination": self.destination,
            "ledger": self.ledger,
            "generations": [generation.to_json() for generation in self.told],
        }


def task_facts(
    made: Iterable[GenerationFacts], *, destination: str | None = None, ledger: str | None = None
) -> TaskFacts:
    """
    Return the facts of a task that made some generations, however many.

    :param made: All of them, in the order of telling. They are gone through once and not kept.
    """
    told: list[GenerationFacts] = []
    generation_count = file_count = 0
    costs: list[Decimal] = []
    for facts in made:
        if generation_count < MOST_TOLD and file_count < MOST_TOLD:
            told.append(GenerationFacts(facts.generation, facts.files[: MOST_TOLD - file_count]))
        generation_count += 1
        file_count += len(facts.files)
        if facts.generation.cost is not None:
            costs.append(facts.generation.cost)
    cost = sum(costs, Decimal(0)) if costs else None
    return TaskFacts(tuple(told), generation_count, file_count, cost, destination, ledger)
