"""
The batch operator without Airflow around it, in processes that can be killed at any moment.

Its tries, its triggers and its saving are the real ones; the lab has what Airflow adds, and takes longer.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.facts import Fact
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from tests.batch.places import Place

INCOMPLETE, _REFUSED = 3, 4
_LONGER = 1.03
# Forked from a process that has imported all this and has no threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.batch.warm"])


@dataclass(frozen=True)
class BareBatch:
    """
    A batch of one task instance.

    :param connection: The connection to APIMart as JSON.
    :param log: What its processes print.
    :param arguments: Of the operator.
    :param quick: Whether pauses between repetitions are short.
    :param place: Where its destination is.
    :param environment: Variables of its processes.
    :param run_id: Its run.
    :param acknowledged: File to which they add every fact that is durable, one a line.
    """

    connection: str
    log: Path
    arguments: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False
    place: Place = Place.LOCAL
    environment: Mapping[str, str] = field(default_factory=dict)
    run_id: str = "run"
    acknowledged: Path | None = None

    def run_killed(self, rng: random.Random, mean_seconds: float, most_tries: int = 2000) -> int:
        """
        Try until it has ended, killing its process with SIGKILL at random moments.

        :param mean_seconds: How long the first process lives on average. Each one after it lives a little longer, so
            that the batch also ends on a machine on which one try takes many times as long.
        :return: How often it was killed.
        """
        for kills in range(most_tries):
            if self._try(rng.expovariate(1 / (mean_seconds * _LONGER**kills))):
                return kills
        raise AssertionError(f"the batch didn't end; see {self.log}")

    def start(self, try_number: int = 1, max_tries: int = 0) -> BaseProcess:
        """
        Start a try in a process of its own and return the process.

        :param max_tries: What Airflow raises with every clear.
        """
        process = PROCESSES.Process(target=_run, args=(self, try_number, max_tries))
        process.start()
        return process

    def _try(self, kill_after: float) -> bool:
        """Do one try, and return whether the batch has ended; or be killed."""
        process = self.start()
        process.join(kill_after)
        if process.is_alive():
            process.kill()
        process.join()
        if process.exitcode not in (0, -9, INCOMPLETE, _REFUSED):
            raise AssertionError(f"a try ended with {process.exitcode}:\n{self.log.read_text()[-6000:]}")
        return process.exitcode in (0, _REFUSED)


def _run(batch: BareBatch, try_number: int, max_tries: int) -> None:
    with batch.log.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ |= {**batch.environment, "AIRFLOW_CONN_APIMART_DEFAULT": batch.connection}
    batch.place.attach()
    if batch.quick:
        for name in ("submit_policy", "status_policy"):
            setattr(ApimartHook, name, replace(getattr(ApimartHook, name), first=0.02, longest=0.2))
    if batch.acknowledged:
        note_acknowledged_facts(batch.acknowledged)
    sys.exit(attempt(batch.arguments, try_number, max_tries, batch.run_id))


def note_acknowledged_facts(file: Path) -> Callable[[], None]:
    """Add every fact to a file once it is durable; return what ends that."""
    original = FactFiles.append

    def append(self: FactFiles, facts: Iterable[Fact]) -> None:
        noted = list(facts)
        original(self, noted)
        with file.open("a") as lines:
            lines.write("".join(f"{json.dumps(fact.to_json(), sort_keys=True)}\n" for fact in noted))

    FactFiles.append = append  # type: ignore[method-assign]
    return lambda: setattr(FactFiles, "append", original)


def attempt(arguments: Mapping[str, Any], try_number: int, max_tries: int, run_id: str = "run") -> int:
    """Do one try, and return the status with which its process ends."""
    try:
        operator = ApimartBatchGenerationOperator(task_id="generate", poll_interval=0.1, **arguments)
        execute(operator, task_context(try_number, max_tries, run_id))
    except errors.ApimartBatchRefusedError:
        return _REFUSED
    except (errors.ApimartBatchIncompleteError, errors.ApimartSupersededError):
        return INCOMPLETE
    return 0


def execute(operator: ApimartBatchGenerationOperator, context: Any) -> None:
    """Do what the worker and, if the batch defers, the triggerer do."""
    try:
        operator.execute(context)
        return
    except TaskDeferred as deferred:
        waiting = deferred
    while True:
        try:
            operator.execute_complete(context, asyncio.run(_event(waiting.trigger)), **(waiting.kwargs or {}))
            return
        except TaskDeferred as deferred:
            waiting = deferred


async def _event(trigger: Any) -> Any:
    return [event.payload async for event in trigger.run()].pop()


def task_context(try_number: int = 1, max_tries: int = 0, run_id: str = "run") -> Any:
    """Return as much of a task's context as the operator reads; what it pushes is in ``ti.pushed``."""
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="dag",
        run_id=run_id,
        task_id="generate",
        map_index=-1,
        max_tries=max_tries,
        try_number=try_number,
        pushed=pushed,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    task = SimpleNamespace(outlets=())
    return {"ti": ti, "task": task, "ds": "2026-01-01", "run_id": run_id, "outlet_events": {}}
