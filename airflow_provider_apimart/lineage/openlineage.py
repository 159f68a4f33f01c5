"""OpenLineage: saved files as datasets, and a run facet with generations and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_apimart.results.storage.paths import StorageUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, RunFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_apimart.lineage.event_content import FileFacts, TaskFacts

FACET_KEY = "apimart_generations"


def operator_lineage(facts: TaskFacts) -> OperatorLineage[OutputDataset, RunFacet] | None:
    """
    Return the lineage of a task, ``None`` where Airflow's OpenLineage provider is not installed.

    The task's saved files are its outputs. Temporary URLs are not, since they expire.
    """
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage

        from airflow_provider_apimart.lineage.openlineage_facets import ApimartGenerationsRunFacet
    except ImportError:
        return None
    saved = [file for generation in facts.listed for file in generation.files if file.expires_at is None]
    return OperatorLineage(
        outputs=[_dataset(file) for file in saved],
        run_facets={FACET_KEY: ApimartGenerationsRunFacet.of(facts)},
    )


def _dataset(file: FileFacts) -> OutputDataset:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet

    namespace, name = StorageUri.of(file.uri).dataset
    statistics = OutputStatisticsOutputDatasetFacet(size=file.size)
    return OutputDataset(namespace=namespace, name=name, outputFacets={"outputStatistics": statistics})
