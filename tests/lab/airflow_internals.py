"""Airflow's internals that the lab uses, wherever a version keeps them."""

from __future__ import annotations

from typing import Any

from airflow.utils.state import TaskInstanceState

# None below Airflow 3.3.
AWAITING_INPUT = getattr(TaskInstanceState, "AWAITING_INPUT", None)

try:
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import DagSerialization

    BUNDLE = {"bundle_name": "dags-folder"}
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

    BUNDLE = {}


def dag_bag(folder: str) -> Any:
    """Return all DAGs of a folder, as the task runner takes them."""
    return BundleDagBag(dag_folder=folder, bundle_path=folder, **BUNDLE)


def read_metrics() -> None:
    """Read the names of metrics, a third of a second of YAML, where each process does so with its first metric."""
    try:
        from airflow._shared.observability.metrics.stats import _get_registry
    except ImportError:  # Below Airflow 3.3
        return
    _get_registry()


__all__ = ["AWAITING_INPUT", "DagSerialization", "dag_bag", "read_metrics", "sync_bag_to_db"]
