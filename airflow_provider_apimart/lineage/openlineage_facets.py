"""The run facet of this provider. It can only be imported where OpenLineage's client is installed."""

from __future__ import annotations

from typing import Any, Self

from attrs import define

# Not through the compat package: without the client its names are functions, which nothing can inherit from.
from openlineage.client.generated.base import RunFacet

from airflow_provider_apimart.lineage.facts import TaskFacts


@define
class ApimartGenerationsRunFacet(RunFacet):
    """
    What a run has made at APIMart and what it cost.

    :param generationCount: How many generations there are, told or not.
    :param fileCount: How many files there are, told or not.
    :param cost: US dollars for all of them, as far as APIMart said.
    :param ledger: URI of the file that tells of every generation.
    :param generations: The first of them: id, model, digest of the prompt, cost, and the files.
    """

    generationCount: int  # noqa: N815 - OpenLineage's facets are written so
    fileCount: int  # noqa: N815 - as above
    cost: float | None
    ledger: str | None
    generations: list[dict[str, Any]]

    @classmethod
    def of(cls, facts: TaskFacts) -> Self:
        """Return the facet of a task."""
        told = facts.to_json()
        return cls(
            generationCount=facts.generation_count,
            fileCount=facts.file_count,
            cost=told["cost"],
            ledger=facts.ledger,
            generations=told["generations"],
        )
