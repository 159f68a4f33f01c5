"""Batches against the sandbox, without Airflow around them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.poll_schedule import PollSchedule
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.batch.entry_from_facts import entry_of_record
from airflow_provider_apimart.batch.items import BatchItem, Shared, read_items
from airflow_provider_apimart.batch.journal import read_records
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.run import Save
from airflow_provider_apimart.batch.task_try import TryResult, run_try
from airflow_provider_apimart.durable.task_identity import TaskIdentity, file_name_of
from airflow_provider_apimart.sandbox import Sandbox
from airflow_provider_apimart.triggers.batch import trigger_for

MODEL = "gemini-2.5-flash-image-preview"
QUICK = RetryPolicy(max_requests=4, max_unknown=2, seconds=5.0, rate_limited_seconds=30.0, first=0.01, longest=0.2)
TASK = TaskIdentity("dag", "run", "task", -1, clear_marker=3)

_tries = itertools.count(1)


def as_items(written: Iterable[object], **shared: Any) -> list[BatchItem]:
    """Return items as the operator reads them; a text is a prompt."""
    requests = [{"prompt": each} if isinstance(each, str) else each for each in written]
    return read_items(requests, Shared("apimart_default", Modality.IMAGE, {"model": MODEL, **shared}))


def as_plan(written: Iterable[object], **changes: Any) -> BatchPlan:
    """Return a plan whose pauses are short; each is another try of the same task."""
    plan = BatchPlan(
        as_items(written),
        TASK,
        schedule=PollSchedule(0.05),
        submit_policy=QUICK,
        status_policy=QUICK,
        started_at=time.time() + next(_tries) / 1000,
    )
    return replace(plan, **changes)


def settings(sandbox: Sandbox, api_key: str | None = None) -> ClientSettings:
    """Return what a connection to the sandbox says."""
    return ClientSettings(api_key or sandbox.api_key, sandbox.base_url)


def make(
    sandbox: Sandbox, folder: Path, written: Iterable[object] | BatchPlan, *, save: Save | None = None, **changes: Any
) -> TryResult:
    """Do one try of a batch that waits in the worker."""
    plan = written if isinstance(written, BatchPlan) else as_plan(written, **changes)
    return run_try(plan, settings(sandbox), str(folder), save)


def make_deferred(
    sandbox: Sandbox, folder: Path, plan: BatchPlan, *, save: Save | None = None, most_legs: int = 60
) -> tuple[TryResult, int]:
    """
    Do one try of a batch that waits in the triggerer, whose connection must be in the environment.

    :return: How it ended, and how often it came back to the worker.
    """
    plan = replace(plan, parks=True)
    for legs in range(1, most_legs + 1):
        end = run_try(plan, settings(sandbox), str(folder), save)
        if not end.parked:
            return end, legs
        event = triggered(end, plan)
        plan = resumed(plan, event)
    raise AssertionError(f"still waiting after {most_legs} legs: {end.manifest}")


def resumed(plan: BatchPlan, event: Mapping[str, Any]) -> BatchPlan:
    """Return the plan with which a deferred try resumes after an event of its trigger."""
    finished, waited = frozenset(event["finished"]), frozenset(event["waited"])
    return replace(plan, finished=finished, waited=waited, started_at=event["started_at"])


def triggered(end: TryResult, plan: BatchPlan) -> Mapping[str, Any]:
    """Wait as the triggerer does, and return the event after its journey through the database."""
    trigger = trigger_for(
        end.parked,
        enough=len(end.parked) if end.is_submitted else max(1, len(end.parked) // 2),
        started_at=plan.started_at,
        deadline=max((wait.deadline for wait in end.parked if wait.deadline), default=None),
        apimart_conn_id="apimart_default",
        try_number=1,
    )
    return run_trigger(trigger)


def run_trigger(trigger: Any) -> Mapping[str, Any]:
    """Make a trigger again from what the database would hold, run it, and return its event."""

    async def event() -> Any:
        _, arguments = trigger.serialize()
        events = [each.payload async for each in type(trigger)(**json.loads(json.dumps(arguments))).run()]
        assert len(events) == 1
        return events[0]

    payload: Mapping[str, Any] = json.loads(json.dumps(asyncio.run(event())))
    return payload


def ledger_file(folder: Path, task: TaskIdentity = TASK) -> Path:
    """Return where a batch's ledger is."""
    return folder / f"{file_name_of(task)}.ledger.jsonl"


def fact_files(folder: Path, task: TaskIdentity = TASK) -> list[Path]:
    """Return the files of a batch's facts."""
    return sorted((folder / ".apimart" / file_name_of(task)).glob("*.facts"))


def ledger_lines(folder: Path, task: TaskIdentity = TASK) -> list[dict[str, Any]]:
    """Return the lines of a batch's ledger as a user reads them."""
    return [json.loads(line) for line in ledger_file(folder, task).read_text(encoding="utf-8").splitlines()]


def entries(folder: Path, task: TaskIdentity = TASK) -> list[LedgerEntry]:
    """Return what is known of the items of a batch that were submitted or got into trouble, by their ids."""
    records = read_records(ObjectStoragePath(ledger_file(folder, task).as_uri()))
    found = [entry_of_record(name, record, 0) for name, record in records.items()]
    return sorted(found, key=lambda entry: (entry.id.zfill(9) if entry.id.isdigit() else "", entry.id))


def statuses(found: Sequence[LedgerEntry]) -> list[str]:
    """Return the statuses of ledger lines."""
    return [entry.status.value for entry in found]


def posts(sandbox: Sandbox) -> int:
    """Return how many submits the sandbox has seen."""
    return sum(request.route == "submit" for request in sandbox.requests)
