"""Actions of the lab's processes, by Airflow's own functions: those of a scheduler, a triggerer and a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pkgutil import resolve_name
from typing import Any

from airflow import settings
from airflow.models import import_all_models
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import configure_mappers

from tests.lab import airflow_internals
from tests.lab.airflow_internals import AWAITING_INPUT
from tests.lab.crash_points import install, send_later

_LONGEST_DRIVE = 60.0


def make_dags_known() -> None:
    """Write the DAGs into the database."""
    with create_session() as session:
        airflow_internals.make_known(_dag_bag(), session)


def warm_up() -> None:
    """Do once what every forked process would do again, beside what a command would."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    import_all_models()
    # Half of what a fork does otherwise.
    configure_mappers()
    _dag_bag()
    airflow_internals.read_metrics()
    # It imports the libraries of all storages, two seconds of them.
    _ = ObjectStoragePath("file:///").fs


def after_fork() -> None:
    """Let a forked process take its settings, logging and database from its own variables."""
    settings.dispose_orm()
    settings.initialize()


@cache
def _dag_bag() -> Any:
    bag = airflow_internals.dag_bag(settings.DAGS_FOLDER)
    if bag.import_errors:
        raise RuntimeError(f"DAGs can't be imported: {bag.import_errors}")
    return bag


def _scheduler_dag(dag_id: str) -> Any:
    return airflow_internals.scheduler_dag(_dag_bag().dags[dag_id])


def create(dag_id: str, run_id: str, conf: Mapping[str, Any], number: int) -> None:
    """Create a DAG run, each on a day of its own."""
    day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    with create_session() as session:
        airflow_internals.create_run(_scheduler_dag(dag_id), run_id, day, conf, session)


def steps(dag_id: str, run_id: str, todo: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Any]:
    """Do several of these things in one process, one after the other, and return what each of them has returned."""
    return [globals()[name](dag_id=dag_id, run_id=run_id, **arguments) for name, arguments in todo]


def drive(
    dag_id: str,
    run_id: str,
    crash: str | None,
    without_store: bool,
    policy: Mapping[str, Any],
    signal_after: Sequence[Any] | None = None,
) -> None:
    """Be scheduler, worker and triggerer of one DAG run until it has ended, or waits for a person."""
    install(crash)
    if signal_after:
        send_later(*signal_after)
    _hurry(policy)
    if without_store:
        _take_the_store_away()
    give_up_at = time.monotonic() + _LONGEST_DRIVE
    while _round(dag_id, run_id):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"the run {run_id} of {dag_id} didn't end")


def _hurry(policy: Mapping[str, Any]) -> None:
    from airflow_provider_apimart.hooks.apimart import ApimartHook

    ApimartHook.submit_policy = replace(ApimartHook.submit_policy, **policy)
    ApimartHook.status_policy = replace(ApimartHook.status_policy, **policy)
    ApimartHook.upload_policy = replace(ApimartHook.upload_policy, **policy)


def _take_the_store_away() -> None:
    """Let tasks find no state store, as on Airflow below 3.3: their records are in files."""
    from airflow_provider_apimart.durable import record_choice

    original = record_choice.record_of
    record_choice.record_of = lambda context: original({"ti": context["ti"]})


def _round(dag_id: str, run_id: str) -> bool:
    """Do what can be done now; return whether the run goes on by itself."""
    with create_session() as session:
        run = _run(dag_id, run_id, session)
        run.dag = _scheduler_dag(dag_id)
        schedulable, _ = run.update_state(session=session)
        if run.state not in (DagRunState.RUNNING, DagRunState.QUEUED):
            return False
        for ti in schedulable:
            _schedule(ti)
        session.commit()
        ready = [(_key(ti), ti.state) for ti in run.get_task_instances(session=session)]
    if {state for _, state in ready} - State.finished - {None} == {AWAITING_INPUT}:
        return False
    for key, state in ready:
        if state == TaskInstanceState.SCHEDULED:
            _work(key)
        elif state == TaskInstanceState.DEFERRED:
            _trigger(key)
    time.sleep(0.02)
    return True


def _schedule(ti: TaskInstance) -> None:
    if ti.state != TaskInstanceState.UP_FOR_RESCHEDULE:
        ti.try_number += 1
    ti.state = TaskInstanceState.SCHEDULED
    ti.scheduled_dttm = datetime.now(UTC)


def _run(dag_id: str, run_id: str, session: Any) -> DagRun:
    return session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one()


def _key(ti: TaskInstance) -> dict[str, Any]:
    # The row of a retry has a new id.
    return {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}


def _found(key: Mapping[str, Any], session: Any) -> TaskInstance:
    return session.scalars(select(TaskInstance).filter_by(**key)).one()


def _work(key: Mapping[str, Any]) -> None:
    """Run one try of a task, or its resumption."""
    with create_session() as session:
        ti = _found(key, session)
        ti.set_state(TaskInstanceState.QUEUED, session=session)
        session.commit()
        session.refresh(ti)
        session.expunge(ti)
    airflow_internals.run_try(ti, _dag_bag().dags[key["dag_id"]].get_task(key["task_id"]))
    with create_session() as session:
        _make_due(_found(key, session))


def _make_due(ti: TaskInstance) -> None:
    """Let a retry begin now, whatever delay the DAG asks for."""
    if ti.state == TaskInstanceState.UP_FOR_RETRY:
        ti.end_date = datetime.now(UTC) - timedelta(days=1)


def _trigger(key: Mapping[str, Any]) -> None:
    """Run the trigger of a deferred task from what the database holds of it, and submit its event."""
    with create_session() as session:
        ti = _found(key, session)
        row = session.get(Trigger, ti.trigger_id)
        assert row is not None
        trigger = resolve_name(row.classpath)(**row.kwargs)
        trigger_id = row.id
        session.expunge(ti)
    submit_event(trigger_id, airflow_internals.run_trigger(trigger, ti))


def submit_event(trigger_id: int, event: TriggerEvent) -> None:
    """Resume the deferred task, as the triggerer's job does with an event."""
    with create_session() as session:
        Trigger.submit_event(trigger_id, event, session=session)


def recover(dag_id: str, run_id: str) -> None:
    """Fail the tasks whose process has died, as the scheduler does when heartbeats stop; a retry may follow."""
    with create_session() as session:
        dag = _scheduler_dag(dag_id)
        for ti in _run(dag_id, run_id, session).get_task_instances(session=session):
            if ti.state in (TaskInstanceState.RUNNING, TaskInstanceState.QUEUED):
                ti.task = dag.get_task(ti.task_id)
                ti.handle_failure("its process was killed", session=session)
                session.commit()
                _make_due(_found(_key(ti), session))


def fail(dag_id: str, run_id: str, task_ids: Sequence[str]) -> None:
    """Mark task instances as failed, as a person does."""
    with create_session() as session:
        for ti in _run(dag_id, run_id, session).get_task_instances(session=session):
            if ti.task_id in task_ids:
                ti.set_state(TaskInstanceState.FAILED, session=session)


def clear(dag_id: str, run_id: str, task_ids: Sequence[str]) -> None:
    """Clear task instances."""
    with create_session() as session:
        run = _run(dag_id, run_id, session)
        dag = _scheduler_dag(dag_id)
        tis = [ti for ti in run.get_task_instances(session=session) if ti.task_id in task_ids]
        for ti in tis:
            ti.task = dag.get_task(ti.task_id)
        airflow_internals.clear(tis, dag, session)
        session.flush()
        run.state = DagRunState.RUNNING


def trigger_by_assets(dag_id: str, run_id: str) -> list[str]:
    """Start the runs that asset events ask for, as the scheduler's loop does, and return those of one DAG."""
    from airflow.utils.sqlalchemy import prohibit_commit
    from airflow.utils.types import DagRunType

    scheduler = _scheduler()
    with create_session() as session:
        with prohibit_commit(session) as guard:
            scheduler._create_dagruns_for_dags(guard, session)
        scheduler._start_queued_dagruns(session)
        runs = select(DagRun.run_id).where(DagRun.dag_id == dag_id, DagRun.run_type == DagRunType.ASSET_TRIGGERED)
        return list(session.scalars(runs.order_by(DagRun.id)))


def _scheduler() -> Any:
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    return SchedulerJobRunner(Job())


def asset_events(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Describe the asset events that a run has emitted, in their order."""
    from airflow.models.asset import AssetEvent

    with create_session() as session:
        events = select(AssetEvent).where(AssetEvent.source_dag_id == dag_id, AssetEvent.source_run_id == run_id)
        return [{"uri": event.uri, "extra": event.extra} for event in session.scalars(events.order_by(AssetEvent.id))]


def answer(dag_id: str, run_id: str, task_id: str, option: str) -> None:
    """Answer a task that waits for a person, with the function behind the page's button."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail

    payload = UpdateHITLDetailPayload(chosen_options=[option])
    user = SimpleAuthManagerUser(username="lab", role="admin")
    with create_session() as session:
        update_hitl_detail(dag_id, run_id, task_id, payload, user, session)


def leave_unanswered(dag_id: str, run_id: str, task_id: str) -> None:
    """Let the time for an answer be over, and do what the scheduler then does."""
    with create_session() as session:
        waiting = next(
            ti for ti in _run(dag_id, run_id, session).get_task_instances(session=session) if ti.task_id == task_id
        )
        assert waiting.trigger_timeout is not None
        waiting.trigger_timeout = datetime.now(UTC) - timedelta(seconds=1)
    _scheduler().check_awaiting_input_timeouts()


def view(dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Describe all task instances of a run."""
    where = {"dag_id": dag_id, "run_id": run_id}
    xcoms = "SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id"
    with create_session() as session:
        pushed: dict[tuple[str, int], dict[str, Any]] = {}
        for task_id, map_index, key, value in session.execute(text(xcoms), where):
            pushed.setdefault((task_id, map_index), {})[key] = _loaded(value)
        return [
            {
                "task_id": ti.task_id,
                "map_index": ti.map_index,
                "state": ti.state,
                "try_number": ti.try_number,
                "max_tries": ti.max_tries,
                "xcoms": pushed.get((ti.task_id, ti.map_index), {}),
            }
            for ti in _run(dag_id, run_id, session).get_task_instances(session=session)
        ]


def _loaded(value: Any) -> Any:
    # SQLite turns a JSON column that holds a bare number into a number.
    return json.loads(value) if isinstance(value, str | bytes) else value


def rows(dag_id: str, run_id: str) -> list[str]:
    """Return every row of every table as text."""
    with create_session() as session:
        names = inspect(session.get_bind()).get_table_names()
        return [f"{name}: {tuple(row)!r}" for name in names for row in session.execute(text(f'SELECT * FROM "{name}"'))]
