"""Waiting for a generation that another task has submitted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_apimart.compat.resumption import must_restart
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.exceptions import (
    ApimartRateLimitError,
    ApimartStatusUnreadableError,
    ApimartWaitTimeoutError,
    ApimartWatchedGenerationFailedError,
)
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.links.generation import ApimartGenerationLink, LinksGeneration
from airflow_provider_apimart.sensors.soft_fail import skip_on_soft_fail

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.waiting import Wait
    from airflow_provider_apimart.hooks.apimart import ApimartHook

# A rescheduled poke costs the scheduler a round, so an adaptive sensor asks for one less often.
_SHORTEST_RESCHEDULE = 10.0


class ApimartGenerationSensor(LinksGeneration, EmitsLineage, BaseSensorOperator):
    """
    Wait until a generation is finished and return it, in every mode the same.

    It fails at once, with the service's own reason, on a generation that failed, was refused or isn't known; a retry
    of the sensor couldn't change that, so there is none. A status read that fails is tolerated a few times in a row,
    an authentication error is not. The sensor only reads: whatever becomes of it, the generation goes on.

    With ``soft_fail`` or ``never_fail``, whatever keeps the sensor from returning the generation skips it.

    :param generation: The id of a generation, or what a generation operator returned. (templated)
    :param deferrable: Whether to wait in the triggerer, which takes no worker slot. The status is read once on the
        worker before.
    :param poke_interval: Seconds or a timedelta between two looks; ``None`` adapts to the time waited.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    template_fields: Sequence[str] = ("generation", "apimart_conn_id")
    operator_extra_links = (ApimartGenerationLink(),)
    ui_color = "#d3f5e3"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        apimart_conn_id: str = "apimart_default",
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        if poke_interval is not None:
            kwargs["poke_interval"] = poke_interval
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.generation = generation
        self.deferrable = deferrable
        self.adaptive = poke_interval is None
        self.apimart_conn_id = apimart_conn_id
        self._seen: Generation | None = None

    @cached_property
    def hook(self) -> ApimartHook:
        """The connection to APIMart."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        return ApimartHook(self.apimart_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait for the generation and return it in its XCom form.

        :raises ApimartWatchedGenerationFailedError: If it failed. Not retried.
        :raises ApimartGenerationNotFoundError: If APIMart doesn't know it. Not retried.
        :raises ApimartStatusUnreadableError: If its status couldn't be read several times in a row.
        :raises AirflowSensorTimeout: If the sensor's ``timeout`` ran out. Not retried.
        """
        self.generation_link = ""
        with skip_on_soft_fail(self):
            if not self.deferrable:
                return cast("dict[str, Any]", super().execute(context))
            return self._look_or_defer(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, and return the generation if it is finished."""
        generation = self._look()
        if generation is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, generation))

    def execute_complete(self, context: Context, event: Any, generation_id: str | None = None) -> dict[str, Any]:
        """
        Return what the trigger has waited for, or raise what ended the wait.

        :param event: See :class:`~airflow_provider_apimart.triggers.generation.ApimartGenerationTrigger`.
        :param generation_id: The generation that was waited for, should the event be unreadable.
        """
        with skip_on_soft_fail(self):
            if must_restart(event, context):
                return self._look_or_defer(context)
            return self._deliver(context, self._concluded(event, generation_id))

    def _look_or_defer(self, context: Context) -> dict[str, Any]:
        self.generation_link = ""
        looked = self.poke(context)
        return cast("dict[str, Any]", looked.xcom_value) if looked.is_done else self._defer(context)

    def _defer(self, context: Context) -> NoReturn:
        from airflow_provider_apimart.triggers.generation import trigger_for

        wait = replace(self._wait, deadline=time.time() + self.timeout)
        self.defer(
            trigger=trigger_for(wait, self.apimart_conn_id, context["ti"].try_number),
            method_name="execute_complete",
            kwargs={"generation_id": wait.generation_id},
        )

    @cached_property
    def _named(self) -> Generation:
        from airflow_provider_apimart.api.generation import named_generation

        return named_generation(self.generation)

    @cached_property
    def _wait(self) -> Wait:
        from airflow_provider_apimart.api.poll_schedule import PollSchedule
        from airflow_provider_apimart.api.waiting import Wait

        now = time.time()
        named = self._named
        return Wait(
            str(named.generation_id),
            started_at=named.created.timestamp() if named.created else now,
            schedule=PollSchedule(None if self.adaptive else self.poke_interval),
            modality=named.modality,
            model=named.model,
        )

    @cached_property
    def _progress(self) -> Callable[[Generation], None]:
        from airflow_provider_apimart.api.progress import ProgressLog

        return ProgressLog(self.log)

    def _look(self) -> Generation | None:
        """Return the generation if it is finished, nothing while it runs, and raise if it has failed."""
        from airflow_provider_apimart.api.generation import GenerationStatus
        from airflow_provider_apimart.api.waiting import Verdict, read_status_with_retries

        if self._named.status is GenerationStatus.COMPLETED:
            return self._named
        # When the service only asks to slow down, the next poke comes soon enough.
        policy = replace(self.hook.status_policy, rate_limited_seconds=0.0)
        try:
            generation = self.hook.run(read_status_with_retries(self._wait, self.hook.polling_stats.routes, policy))
        except ApimartStatusUnreadableError as error:
            if isinstance(error.__cause__, ApimartRateLimitError):
                return None
            raise
        self._seen = generation
        self._progress(generation)
        # The sensor's own timeout is checked by Airflow, or by the trigger.
        decision = self._wait.decide(generation, time.time())
        if decision.verdict is Verdict.POLL_AGAIN:
            return None
        return self._concluded(decision.to_event(), self._wait.generation_id)

    def _concluded(self, event: Any, generation_id: str | None) -> Generation:
        from airflow_provider_apimart.api.waiting import finished_generation
        from airflow_provider_apimart.metrics import GenerationMetrics

        metrics = GenerationMetrics(self._named.modality, self._named.model)
        try:
            with metrics.counting():
                generation = finished_generation(event, generation_id, failure=ApimartWatchedGenerationFailedError)
        except ApimartWaitTimeoutError as error:
            raise AirflowSensorTimeout(str(error)) from error
        metrics.completed(generation)
        return generation

    def _deliver(self, context: Context, generation: Generation) -> dict[str, Any]:
        from airflow_provider_apimart.lineage.facts import unsaved

        generation = generation.known_as(prompt_sha256=self._named.prompt_sha256)
        link = self.link(context, generation, self.hook)
        self.log.info("Generation %s is finished: %s", generation.generation_id, link)
        self.emit_lineage(context, [unsaved(generation)])
        return returnable(generation.to_xcom())

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        if not self.adaptive:
            return float(super()._get_next_poke_interval(started_at, run_duration, poke_count))
        # Each poke of a rescheduled sensor is a process of its own, which only Airflow's duration remembers.
        wait = replace(self._wait, started_at=min(self._wait.started_at, time.time() - run_duration()))
        seconds = wait.pause(self._seen, self.hook.polling_stats, time.time(), random.random())
        return max(seconds, _SHORTEST_RESCHEDULE) if self.mode == "reschedule" else seconds
