"""Interruption of an event loop from a signal handler."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

# The system may hand a signal to any thread, which doesn't wake the main thread. Only there handlers run, and only
# when it is awake.
_LONGEST_SLEEP = 0.5


class Interruption:
    """
    Runs a coroutine that ends with its clean-up when the task times out or is killed.

    Airflow's timeout raises from a signal handler, wherever the main thread is. Inside an event loop, a callback or
    another task might swallow the error. So the loop runs in a thread of its own, and the main thread only waits.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Run a coroutine to its end and return its result.

        :raises asyncio.CancelledError: If it was interrupted.
        """
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(work)
        done: Future[T] = Future()
        thread = Thread(target=copy_context().run, args=(_complete, self._loop, self._task, done), name="apimart-batch")
        try:
            thread.start()
            while not done.done():
                wait([done], timeout=_LONGEST_SLEEP)
            return done.result()
        except BaseException:
            self.interrupt()
            if thread.is_alive():
                wait([done])
                # It has a few steps left, and nothing of a batch may outlive its task.
                thread.join()
            raise

    def interrupt(self) -> None:
        """Cancel the running coroutine, if there is one. It may be called from a signal handler."""
        if self._loop and self._task:
            with suppress(RuntimeError):  # It has just ended, and its loop is closed.
                self._loop.call_soon_threadsafe(self._task.cancel)


def _complete(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], done: Future[T]) -> None:
    try:
        # Leaving it ends what is left in the loop.
        with asyncio.Runner(loop_factory=lambda: loop):
            result = loop.run_until_complete(task)
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)
