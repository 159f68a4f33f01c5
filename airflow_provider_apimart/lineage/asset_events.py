"""Asset events: the generations and files of a task, for the DAGs that are scheduled on its outlets."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.compat.versions import HASHES_ALIAS_EXTRA
from airflow_provider_apimart.results.storage.paths import StorageUri

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import AssetAlias, Context

    from airflow_provider_apimart.lineage.event_content import TaskFacts

log = logging.getLogger(__name__)


def describe_outlets(context: Context, facts: TaskFacts) -> None:
    """
    Add the task's generations and files to the event of every asset among its outlets.

    An asset alias resolves to the directory into which the task has saved.
    """
    from airflow.providers.common.compat.sdk import AssetAlias

    for outlet in context["task"].outlets or ():
        if isinstance(outlet, AssetAlias):
            _describe_alias(context, outlet, facts)
        else:
            _describe_asset(context, outlet, facts)


def _describe_asset(context: Context, outlet: Any, facts: TaskFacts) -> None:
    try:
        event = context["outlet_events"][outlet]
    except TypeError:
        # The outlet is not an asset: its class differs between versions of Airflow, this error does not.
        return
    event.extra.update(facts.to_json())


def _describe_alias(context: Context, alias: AssetAlias, facts: TaskFacts) -> None:
    from airflow.providers.common.compat.sdk import Asset

    if facts.destination is None:
        log.info("The asset alias %s gets no event: this task has saved no files", alias.name)
        return
    asset = Asset(uri=StorageUri.of(facts.destination).public)
    context["outlet_events"][alias].add(asset, extra=_alias_extra(facts))


def _alias_extra(facts: TaskFacts) -> dict[str, Any]:
    extra = facts.to_json()
    return extra | {"generations": json.dumps(extra["generations"])} if HASHES_ALIAS_EXTRA.is_present else extra
