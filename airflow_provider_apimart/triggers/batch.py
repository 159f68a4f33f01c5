"""Trigger that waits for generations of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.waiting import Wait, wait_until_final
from airflow_provider_apimart.compat.resumption import TRY_NUMBER
from airflow_provider_apimart.exceptions import (
    ApimartAuthenticationError,
    ApimartConfigurationError,
    ApimartError,
    ApimartStatusUnreadableError,
)
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.triggers.shared_transport import with_current_key

# Seconds that a result waits for others at most before it is saved: its URL is valid for a day.
_LONGEST_DELAY = 1800.0


class ApimartBatchTrigger(BaseTrigger):
    """
    Wait until enough of a batch's generations have ended for the worker to continue.

    It only reads, so it may run any number of times. Its event names the generations whose wait has ended; the worker
    reads their status itself.

    :param generations: For each generation its id, the Unix time of its submit, its modality and its model.
    :param enough: The number of generations that must have ended. Half an hour after the first one, fewer are enough.
    :param started_at: Unix time at which the task's try began to wait, which the event repeats.
    :param apimart_conn_id: The connection. Its API key is read when the trigger runs, and is never an argument.
    :param deadline: Unix time after which the wait ends. It is absolute, so a restart does not extend it.
    :param poll_interval: Seconds between two status reads of one generation; ``None`` adapts to the run time.
    :param try_number: Number of the task's try, which the event repeats.
    """

    def __init__(
        self,
        generations: Sequence[Sequence[Any]],
        enough: int,
        started_at: float,
        apimart_conn_id: str = "apimart_default",
        deadline: float | None = None,
        poll_interval: float | None = None,
        try_number: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # not annotated by Airflow
        self.generations = generations
        self.enough = enough
        self.started_at = started_at
        self.apimart_conn_id = apimart_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.try_number = try_number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments of the trigger."""
        return (
            "airflow_provider_apimart.triggers.batch.ApimartBatchTrigger",
            {
                "generations": [list(generation) for generation in self.generations],
                "enough": self.enough,
                "started_at": self.started_at,
                "apimart_conn_id": self.apimart_conn_id,
                "deadline": self.deadline,
                "poll_interval": self.poll_interval,
                "try_number": self.try_number,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event with the generations that have ended."""
        event: dict[str, Any]
        try:
            ended = await with_current_key(self.apimart_conn_id, self._ended)
            event = {"finished": ended, "waited": [each[0] for each in self.generations], "error": None}
        except (ApimartConfigurationError, ApimartAuthenticationError) as error:
            # The worker may reach APIMart where the triggerer does not; the task must not defer again and again.
            event = {"finished": [], "error": error.to_json()}
        except Exception as error:
            # Without an event, the task would fail without naming its generations.
            self.log.exception("The wait for %d generations was interrupted", len(self.generations))
            event = {"finished": [], "error": _broken_off(error).to_json()}
        yield TriggerEvent(event | {"started_at": self.started_at, TRY_NUMBER: self.try_number})

    async def on_kill(self) -> None:
        """Log that the generations keep running when a person clears or marks the task (Airflow 3.3 and later)."""
        self.log.warning(
            "The batch's generations in progress (%d) keep running and are charged: APIMart cannot cancel them",
            len(self.generations),
        )

    async def _ended(self, transport: AiohttpTransport, polling_stats: PollingStats) -> list[str]:
        """Return the ids of the generations that have ended, or whose wait has."""
        queue: asyncio.Queue[str | ApimartAuthenticationError] = asyncio.Queue()

        async def read(wait: Wait) -> None:
            queue.put_nowait(await self._awaited(wait, transport, polling_stats))

        tasks = [asyncio.ensure_future(read(wait)) for wait in self._waits()]
        try:
            return await self._enough(queue)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _enough(self, queue: asyncio.Queue[str | ApimartAuthenticationError]) -> list[str]:
        ended: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as kind:
                while len(ended) < self.enough:
                    match await queue.get():
                        case ApimartAuthenticationError() as error:
                            raise error
                        case str(generation_id):
                            ended.append(generation_id)
                    if kind.when() is None:
                        kind.reschedule(asyncio.get_running_loop().time() + _LONGEST_DELAY)
        return ended

    async def _awaited(
        self, wait: Wait, transport: AiohttpTransport, polling_stats: PollingStats
    ) -> str | ApimartAuthenticationError:
        try:
            await transport.run(wait_until_final(wait, polling_stats, policy=ApimartHook.status_policy))
        except ApimartAuthenticationError as error:
            return error
        except ApimartError as error:
            self.log.debug("The wait for generation %s has ended: %s", wait.generation_id, error)
        except Exception:
            self.log.exception("The wait for generation %s was interrupted", wait.generation_id)
        # The worker reads the status too, and decides what follows from it.
        return wait.generation_id

    def _waits(self) -> Iterable[Wait]:
        for generation_id, submitted_at, modality, model in self.generations:
            yield Wait.from_json(
                {
                    "generation_id": generation_id,
                    "started_at": submitted_at,
                    "deadline": self.deadline,
                    "poll_interval": self.poll_interval,
                    "modality": modality,
                    "model": model,
                }
            )


def _broken_off(error: Exception) -> ApimartStatusUnreadableError:
    return ApimartStatusUnreadableError(
        f"The wait for the batch's generations was interrupted by {type(error).__name__}",
        advice="They keep running and are charged. A retry of the task resumes waiting for them at no cost",
    )


def trigger_for(
    waits: Sequence[Wait],
    enough: int,
    started_at: float,
    deadline: float | None,
    apimart_conn_id: str,
    try_number: int,
) -> ApimartBatchTrigger:
    """Return the trigger for the waits of a batch."""
    return ApimartBatchTrigger(
        generations=[[wait.generation_id, wait.started_at, wait.modality, wait.model] for wait in waits],
        enough=enough,
        started_at=started_at,
        apimart_conn_id=apimart_conn_id,
        deadline=deadline,
        poll_interval=waits[0].poll_interval,
        try_number=try_number,
    )
