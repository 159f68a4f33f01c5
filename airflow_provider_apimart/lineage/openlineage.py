"""OpenLineage: saved files as datasets, and a run facet with what was paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.lineage.storage_uri import StorageUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, RunFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_apimart.lineage.facts import FileFacts, TaskFacts

FACET_KEY = "apimart_generations"


def operator_lineage(facts: TaskFacts) -> OperatorLineage[OutputDataset, RunFacet] | None:
    """
    Return what OpenLineage is told of a task, or nothing where Airflow's provider for it isn't installed.

    The files that the task has saved are its outputs. Temporary URLs aren't: they name nothing a day later.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage

        from airflow_provider_apimart.lineage.openlineage_facets import ApimartGenerationsRunFacet
    except ImportError:
        return None
    saved = [file for generation in facts.told for file in generation.files if file.expires_at is None]
    return OperatorLineage(
        outputs=[_dataset(file) for file in saved],
        run_facets={FACET_KEY: ApimartGenerationsRunFacet.of(facts)},
    )


def _dataset(file: FileFacts) -> OutputDataset:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet

    namespace, name = StorageUri.of(file.uri).dataset
    statistics = OutputStatisticsOutputDatasetFacet(size=file.size)
    return OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": statistics})
