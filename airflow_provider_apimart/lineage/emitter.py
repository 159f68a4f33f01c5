"""Mixin of operators that report their generations and files as asset events and lineage."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, RunFacet
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_apimart.events.generation_event import GenerationEvent
    from airflow_provider_apimart.lineage.event_content import GenerationFacts, TaskFacts

log = logging.getLogger(__name__)


class EmitsLineage:
    """Mixin of operators whose asset events and OpenLineage events describe their generations and files."""

    lineage_facts: TaskFacts | None = None

    def emit_lineage(
        self,
        context: Context,
        made: Iterable[GenerationFacts],
        *,
        destination: str | None = None,
        ledger: str | None = None,
    ) -> None:
        """
        Report this task's generations and files. An error is logged: it must not fail a task that has paid.

        :param made: The generations with their files, of any number; they are iterated once.
        :param destination: URI of the directory with the saved files.
        :param ledger: URI of the file with every generation.
        """
        from airflow_provider_apimart.lineage.asset_events import describe_outlets
        from airflow_provider_apimart.lineage.event_content import task_facts

        try:
            self.lineage_facts = task_facts(made, destination=destination, ledger=ledger)
            describe_outlets(context, self.lineage_facts)
        except Exception:
            # Any error: outlets are the user's objects, and a paid generation must reach XCom.
            log.exception("The asset events of this task could not be written. The task continues")

    def emit_lineage_of(self, context: Context, event: GenerationEvent) -> None:
        """Report the generation of a task that returns it."""
        from airflow_provider_apimart.events.generation_event import EventKind
        from airflow_provider_apimart.lineage.event_content import generation_facts

        if event.kind is EventKind.DELIVERED and event.generation:
            facts = generation_facts(event.generation, event.files)
            self.emit_lineage(context, [facts], destination=None if event.files is None else event.destination)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[OutputDataset, RunFacet] | None:
        """
        Return the lineage of this task. Airflow's OpenLineage provider calls it, where it is installed.

        :param task_instance: The task instance that has succeeded.
        """
        from airflow_provider_apimart.lineage.openlineage import operator_lineage

        return operator_lineage(self.lineage_facts) if self.lineage_facts else None
