"""Trigger that waits for one generation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from dataclasses import fields
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.progress import ProgressLog
from airflow_provider_apimart.api.wait_event import to_event
from airflow_provider_apimart.api.waiting import Verdict, Wait, WaitDecision, wait_until_final
from airflow_provider_apimart.compat.resumption import TRY_NUMBER
from airflow_provider_apimart.exceptions import ApimartError, ApimartStatusUnreadableError
from airflow_provider_apimart.hooks.apimart import ApimartHook
from airflow_provider_apimart.triggers.shared_transport import with_current_key

_WAIT_FIELDS = tuple(field.name for field in fields(Wait))


class ApimartGenerationTrigger(BaseTrigger):
    """
    Wait until a generation is completed, has failed, or the deadline has passed.

    It only reads, so it may run any number of times. Its event is
    :func:`~airflow_provider_apimart.api.wait_event.to_event` with the number of the try.

    :param generation_id: APIMart's id.
    :param started_at: Unix time of the submit.
    :param apimart_conn_id: The connection. Its API key is read when the trigger runs, and is never an argument.
    :param deadline: Unix time after which the wait ends. It is absolute, so a restart does not extend it.
    :param poll_interval: Seconds between two status reads; ``None`` adapts to the run time.
    :param modality: Modality of the generation, if known.
    :param model: Model of the generation, if known.
    :param try_number: Number of the task's try, which the event repeats.
    """

    def __init__(
        self,
        generation_id: str,
        started_at: float,
        apimart_conn_id: str = "apimart_default",
        deadline: float | None = None,
        poll_interval: float | None = None,
        modality: str | None = None,
        model: str | None = None,
        try_number: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # not annotated by Airflow
        self.generation_id = generation_id
        self.started_at = started_at
        self.apimart_conn_id = apimart_conn_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.modality = modality
        self.model = model
        self.try_number = try_number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments of the trigger."""
        return (
            "airflow_provider_apimart.triggers.generation.ApimartGenerationTrigger",
            {
                **{field: getattr(self, field) for field in _WAIT_FIELDS},
                "apimart_conn_id": self.apimart_conn_id,
                "try_number": self.try_number,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event with the decision that ended the wait."""
        try:
            decision = await with_current_key(self.apimart_conn_id, self._wait_until_final)
        except ApimartError as error:
            decision = WaitDecision(Verdict.ERROR, error=error)
        except Exception as error:
            # Without an event, the task would fail without the generation's id.
            self.log.exception("The wait for generation %s was interrupted", self.generation_id)
            decision = WaitDecision(Verdict.ERROR, error=_broken_off(self.generation_id, error))
        yield TriggerEvent(to_event(decision) | {TRY_NUMBER: self.try_number})

    async def on_kill(self) -> None:
        """Log that the generation keeps running when a person clears or marks the task (Airflow 3.3 and later)."""
        self.log.warning("Generation %s keeps running and is charged: APIMart cannot cancel it", self.generation_id)

    def _wait_until_final(
        self, transport: AiohttpTransport, polling_stats: PollingStats
    ) -> Coroutine[Any, Any, WaitDecision]:
        # One logger for all triggers: one for each of thousands would take much of the memory.
        progress = ProgressLog(self.logger())
        return transport.run(
            wait_until_final(self._wait(), polling_stats, policy=ApimartHook.status_policy, on_status=progress)
        )

    def _wait(self) -> Wait:
        return Wait.from_json({field: getattr(self, field) for field in _WAIT_FIELDS})


def trigger_for(wait: Wait, apimart_conn_id: str, try_number: int) -> ApimartGenerationTrigger:
    """Return the trigger for a wait."""
    return ApimartGenerationTrigger(**wait.to_json(), apimart_conn_id=apimart_conn_id, try_number=try_number)


def _broken_off(generation_id: str, error: Exception) -> ApimartStatusUnreadableError:
    return ApimartStatusUnreadableError(
        f"The wait was interrupted by {type(error).__name__}",
        advice="The generation keeps running and is charged. A retry of the task resumes waiting for it at no cost",
        generation_id=generation_id,
    )
