"""Time-outs and kills end a batch promptly, wherever they strike, and the next try resumes it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import cast

import pytest

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.batch.interruption import Interruption
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.spending import Spending
from airflow_provider_apimart.batch.task_try import run_try
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.support import as_plan, entries, ledger_file, make, settings


class TaskTimeout(BaseException):
    """What Airflow raises from a signal handler."""


@contextmanager
def raised_after(seconds: float) -> Iterator[None]:
    """Raise from a signal handler, as Airflow's ``execution_timeout`` does."""

    def handle(_: int, frame: FrameType | None) -> None:
        if _is_measuring(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.001, 30.0)
            return
        raise TaskTimeout

    before = signal.signal(signal.SIGALRM, handle)
    # Again and again: an exception that strikes within a finalizer is ignored by the interpreter.
    signal.setitimer(signal.ITIMER_REAL, seconds, 30.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_measuring(frame: FrameType | None) -> bool:
    """Whether coverage's own code runs, whose lock nobody would release after an exception: ``make coverage``."""
    while frame is not None and Path(frame.f_code.co_filename).parent.name != "coverage":
        frame = frame.f_back
    return frame is not None


@pytest.mark.parametrize("seed", range(12))
def test_a_time_out_ends_the_batch_wherever_it_strikes(sandbox: Sandbox, tmp_path: Path, seed: int) -> None:
    written = [f"[sandbox: stuck] {each}" if each % 5 == 0 else f"{each}" for each in range(300)]
    with raised_after(random.Random(seed).uniform(0.05, 1.0)), pytest.raises(TaskTimeout):
        make(sandbox, tmp_path, written)
    assert not [thread for thread in threading.enumerate() if thread.name == "apimart-batch"]
    known = {entry.generation_id for entry in entries(tmp_path)}
    sent = {entry.submission["idempotency_key"] for entry in entries(tmp_path) if entry.submission}
    assert {generation.idempotency_key for generation in sandbox.generations} <= sent
    # Those whose answer was under way are taken up by their keys.
    assert sum(generation.generation_id not in known for generation in sandbox.generations) <= 64


def test_a_batch_goes_on_after_any_number_of_time_outs(sandbox: Sandbox, tmp_path: Path) -> None:
    # 250 of them, 30 at a time, take longer than several tries.
    sandbox.configure(seconds=0.3)
    written = [f"{each}" for each in range(250)]
    rng, interrupted, done = random.Random(1), 0, False
    while not done:
        try:
            with raised_after(rng.uniform(0.1, 0.6)):
                done = make(sandbox, tmp_path, written, max_in_flight=30).counts.completed == 250
        except TaskTimeout:
            interrupted += 1
    assert interrupted > 2
    assert sandbox.billed == sandbox.accepted == 250


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_that_comes_with_the_last_price_is_not_lost(steps: int) -> None:
    task, loop = cast("asyncio.Task[None]", asyncio.current_task()), asyncio.get_running_loop()

    def cancel_after(steps: int) -> None:
        loop.call_soon(cancel_after, steps - 1) if steps else task.cancel()

    class Transport:
        """Has a price at once; the task is cancelled some steps of the event loop later."""

        async def run(self, _: object) -> None:
            cancel_after(steps)

    plan = as_plan(["a", "b"])
    spending = Spending(plan, Ledger(plan.items, {}, lambda *_: None, 1, 0.0))

    async def begin_and_go_on() -> None:
        await spending.begin(cast("AiohttpTransport", Transport()), plan.items)
        # The cancellation may come after it.
        for _ in range(steps):
            await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await begin_and_go_on()


def test_a_kill_submits_nothing_more(sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As Airflow's SIGTERM does: ``on_kill`` runs in a signal handler, and raises nothing."""
    interruption = Interruption()

    def watch() -> None:
        while sandbox.accepted < 30:
            pass
        interruption.interrupt()

    thread = threading.Thread(target=watch)
    thread.start()
    with pytest.raises(asyncio.CancelledError):
        run_try(
            as_plan([f"{each}" for each in range(500)], max_in_flight=20),
            settings(sandbox),
            str(tmp_path),
            None,
            interruption,
        )
    thread.join()
    assert 30 <= sandbox.accepted < 250
    (told,) = [each.getMessage() for each in caplog.records if "The batch was stopped" in each.getMessage()]
    listed = told.partition("(")[2].partition(")")[0].partition(" and ")[0].split(", ")
    assert set(listed) <= {generation.generation_id for generation in sandbox.generations}
    assert told.endswith(f"from the ledger {ledger_file(tmp_path)}")
    accepted = sandbox.accepted
    assert make(sandbox, tmp_path, [f"{each}" for each in range(500)]).counts.completed == 500
    assert sandbox.billed == 500
    assert accepted < 500


def test_an_interruption_before_and_after_the_run_does_nothing() -> None:
    async def work() -> int:
        return os.getpid()

    interruption = Interruption()
    interruption.interrupt()
    assert interruption.run(work()) == os.getpid()
    interruption.interrupt()


def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        Interruption().run(work())


def test_the_work_may_clean_up_when_it_is_interrupted() -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    with raised_after(0.1), pytest.raises(TaskTimeout):
        Interruption().run(work())
    assert cleaned == [True]


def test_a_signal_that_another_thread_is_handed_ends_it_too() -> None:
    """The system may do so, and the main thread, in which handlers run, isn't woken by it."""

    async def work() -> None:
        await asyncio.sleep(0.3)  # The main thread waits by now.
        signal.pthread_kill(threading.get_ident(), signal.SIGALRM)
        await asyncio.sleep(600)

    with raised_after(600), pytest.raises(TaskTimeout):
        Interruption().run(work())
