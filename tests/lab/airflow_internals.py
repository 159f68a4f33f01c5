"""
Airflow's internals that the lab uses, wherever a version keeps them.

Airflow 2 runs a task with its own database session; from Airflow 3 on, the task runner talks to an API.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from airflow.models.taskinstance import TaskInstance
from airflow.models.taskinstance import clear_task_instances as _clear
from airflow.triggers.base import TriggerEvent
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType

from tests.airflow_versions import running

if running >= (3, 2):
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import DagSerialization
elif running >= (3, 1):
    from airflow.models.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
else:
    from airflow.models.dagbag import DagBag
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization

if running >= (3, 0):
    from tests.lab.in_process_api import supervisor

log = logging.getLogger(__name__)

# None below Airflow 3.3.
AWAITING_INPUT = getattr(TaskInstanceState, "AWAITING_INPUT", None)
_BUNDLE = "dags-folder"


def dag_bag(folder: str) -> Any:
    """Return all DAGs of a folder, as the task runner takes them."""
    if running < (3, 1):
        return DagBag(dag_folder=folder, include_examples=False)
    bundle = {"bundle_name": _BUNDLE} if running >= (3, 2) else {}
    return BundleDagBag(dag_folder=folder, bundle_path=folder, **bundle)


def make_known(bag: Any, session: Any) -> None:
    """Write DAGs into the database."""
    if running < (3, 0):
        bag.sync_to_db()
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db(session=session)
    session.commit()
    if running < (3, 1):
        bag.sync_to_db(_BUNDLE, None)
    else:
        sync_bag_to_db(bag, _BUNDLE, None)


def scheduler_dag(dag: Any) -> Any:
    """Return a DAG as the scheduler has it."""
    return dag if running < (3, 0) else DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def create_run(dag: Any, run_id: str, day: datetime, conf: Mapping[str, Any], session: Any) -> None:
    """Create a DAG run."""
    if running < (3, 0):
        new: dict[str, Any] = {"execution_date": day, "external_trigger": True}
    else:
        from airflow.utils.types import DagRunTriggeredByType

        new = {"logical_date": day, "run_after": day, "triggered_by": DagRunTriggeredByType.TEST}
    dag.create_dagrun(
        run_id=run_id,
        data_interval=(day, day),
        conf=dict(conf),
        run_type=DagRunType.MANUAL,
        state=DagRunState.RUNNING,
        start_date=day,
        session=session,
        **new,
    )


def run_try(ti: TaskInstance, task: Any) -> None:
    """Run one try of a task, or its resumption, with Airflow's own task runner."""
    if running >= (3, 0):
        supervisor.run_task_in_process(ti=_runnable(ti), task=task)
        return
    ti.task = task
    try:
        ti.run(ignore_all_deps=True)
    except Exception:
        # Any error: it is the task's own, and its state is in the database by now.
        log.exception("The task has failed")


def _runnable(ti: TaskInstance) -> Any:
    """Return a task instance as the task runner of Airflow 3 takes it."""
    from airflow.sdk.api.datamodels._generated import TaskInstance as RunnableTaskInstance

    return RunnableTaskInstance(
        id=UUID(str(ti.id)),
        task_id=ti.task_id,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        try_number=ti.try_number,
        map_index=ti.map_index,
        dag_version_id=UUID(str(ti.dag_version_id)),
    )


def run_trigger(trigger: Any, ti: TaskInstance) -> TriggerEvent:
    """Return the event of a trigger."""
    if running >= (3, 1):
        event: TriggerEvent = supervisor.InProcessTestSupervisor.run_trigger_in_process(
            trigger=trigger, ti=_runnable(ti)
        )
        return event

    async def first() -> TriggerEvent:
        async for event in trigger.run():
            return event
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def clear(tis: list[TaskInstance], dag: Any, session: Any) -> None:
    """Clear task instances, as a person does."""
    _clear(tis, session, **({"dag": dag} if running < (3, 0) else {}))


def read_metrics() -> None:
    """Read the names of metrics, a third of a second of YAML, where each process does so with its first metric."""
    try:
        from airflow._shared.observability.metrics.stats import _get_registry
    except ImportError:  # Below Airflow 3.3
        return
    _get_registry()
