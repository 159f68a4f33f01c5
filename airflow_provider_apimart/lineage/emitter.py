"""What operators inherit to tell the rest of Airflow what they have made."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, RunFacet
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_apimart.lineage.facts import GenerationFacts, TaskFacts

log = logging.getLogger(__name__)


class EmitsLineage:
    """An operator whose outlets' asset events and OpenLineage events tell what it has made."""

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
        Tell what this task has made. No error in telling fails a task that has paid: it is logged.

        :param made: The generations with their files; they are gone through once, so there may be any number.
        :param destination: URI of the directory that holds the saved files.
        :param ledger: URI of the file that tells of every generation.
        """
        from airflow_provider_apimart.lineage.asset_events import describe_outlets
        from airflow_provider_apimart.lineage.facts import task_facts

        try:
            self.lineage_facts = task_facts(made, destination=destination, ledger=ledger)
            describe_outlets(context, self.lineage_facts)
        except Exception:
            # Any error: outlets are the user's objects, and what was paid for must reach XCom.
            log.exception("The asset events of this task can't tell what it has made. The task goes on")

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[OutputDataset, RunFacet] | None:
        """
        Return what OpenLineage is told of this task. Airflow's OpenLineage provider calls it, where it is installed.

        :param task_instance: The task instance that has succeeded.
        """
        from airflow_provider_apimart.lineage.openlineage import operator_lineage

        return operator_lineage(self.lineage_facts) if self.lineage_facts else None
