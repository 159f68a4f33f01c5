"""Run facet of this provider. It can be imported only where OpenLineage's client is installed."""

from __future__ import annotations

from typing import Any, Self

from attrs import define

# Not through the compat package: without the client its names are functions, not classes.
from openlineage.client.generated.base import RunFacet

from airflow_provider_apimart.lineage.event_content import TaskFacts


@define
class ApimartGenerationsRunFacet(RunFacet):
    """
    Generations of a run and their cost.

    :param generationCount: Number of all generations.
    :param fileCount: Number of all files.
    :param reusedCount: Number of generations that were reused from the library.
    :param cost: US dollars for all of them, as far as APIMart reported.
    :param ledger: URI of the file with every generation.
    :param generations: The first generations: id, model, digest of the prompt, cost, and files.
    """

    generationCount: int  # noqa: N815 - OpenLineage's facets are written so
    fileCount: int  # noqa: N815 - as above
    reusedCount: int  # noqa: N815 - as above
    cost: float | None
    ledger: str | None
    generations: list[dict[str, Any]]

    @classmethod
    def of(cls, facts: TaskFacts) -> Self:
        """Return the facet of a task."""
        written = facts.to_json()
        return cls(
            generationCount=facts.generation_count,
            fileCount=facts.file_count,
            reusedCount=facts.reused_count,
            cost=written["cost"],
            ledger=facts.ledger,
            generations=written["generations"],
        )
