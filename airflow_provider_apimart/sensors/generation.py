"""Sensor that waits for a generation submitted by another task."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_apimart.api.arguments import seconds, switch
from airflow_provider_apimart.exceptions import (
    ApimartGenerationNotFoundError,
    ApimartInvalidRequestError,
    ApimartRateLimitError,
    ApimartStatusUnreadableError,
    ApimartWaitTimeoutError,
    ApimartWatchedGenerationFailedError,
)
from airflow_provider_apimart.operators.waiting import WaitsForGeneration
from airflow_provider_apimart.sensors.soft_fail import skip_on_soft_fail

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.waiting import Wait, WaitDecision

# A rescheduled poke is a process of its own, so an adaptive sensor asks for one less often.
_SHORTEST_RESCHEDULE = 10.0


class ApimartGenerationSensor(WaitsForGeneration, BaseSensorOperator):
    """
    Wait until a generation is completed and return it. All modes return the same.

    If the generation failed or was refused, the sensor fails at once with APIMart's reason, without a retry, since a
    retry would find the same. A failed status read is repeated a few times. A generation that is not found is looked
    for again for two minutes after its submit; given a bare id, after the first read. The sensor only reads: the
    generation keeps running whatever the sensor's state.

    With ``soft_fail`` or ``never_fail``, any error skips the sensor.

    :param generation: Id of a generation, or the output of a generation operator. (templated)
    :param deferrable: Whether to wait in the triggerer, without a worker slot. The status is read once on the worker
        before.
    :param poke_interval: Seconds or a timedelta between two status reads; ``None`` adapts to the run time.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    template_fields: Sequence[str] = ("generation", "apimart_conn_id")
    failure_class = ApimartWatchedGenerationFailedError
    ui_color = "#d3f5e3"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | str | None = None,
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        if poke_interval is not None:
            kwargs["poke_interval"] = seconds(poke_interval, "poke_interval")
        if kwargs.get("timeout") is not None:
            kwargs["timeout"] = seconds(kwargs["timeout"], "timeout")
        super().__init__(**kwargs)
        self.generation = generation
        self.deferrable = switch(deferrable, "deferrable")
        self.adaptive = poke_interval is None
        self.apimart_conn_id = apimart_conn_id
        self._seen: Generation | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Wait for the generation and return it in its XCom form.

        :raises ApimartWatchedGenerationFailedError: If it failed. Not retried.
        :raises ApimartGenerationNotFoundError: If APIMart does not know it. Not retried.
        :raises ApimartStatusUnreadableError: If its status could not be read several times in a row.
        :raises ApimartWaitTimeoutError: If ``execution_timeout`` expired while the sensor was deferred.
        :raises AirflowSensorTimeout: If the sensor's ``timeout`` expired. Not retried.
        """
        with skip_on_soft_fail(self), self._reporting_errors(context):
            return self._begin(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the status once, and return the generation if it is completed."""
        # Reported here: with soft_fail, Airflow makes another error of it before execute sees it.
        with self._reporting_errors(context):
            generation = self._look()
            if generation is None:
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, generation))

    def execute_complete(self, context: Context, event: Any, generation_id: str | None = None) -> dict[str, Any]:
        """Return the generation that the trigger waited for, raise the error that ended the wait, or skip."""
        with skip_on_soft_fail(self):
            self._keep_to(generation_id)
            return super().execute_complete(context, event, generation_id)

    def _begin(self, context: Context) -> dict[str, Any]:
        self._forget_earlier_run()
        if not self.deferrable:
            return cast("dict[str, Any]", super().execute(context))
        looked = self.poke(context)
        if not looked.is_done:
            wait = replace(self._wait, deadline=time.time() + self.timeout)
            self._defer(context, self._within_execution_timeout(context, wait))
        return cast("dict[str, Any]", looked.xcom_value)

    @cached_property
    def _named(self) -> Generation:
        from airflow_provider_apimart.api.generation import named_generation

        return named_generation(self.generation)

    def _keep_to(self, generation_id: str | None) -> None:
        """Keep to the generation that was waited for, whatever ``generation`` renders to by now."""
        from airflow_provider_apimart.api.generation import named_generation

        try:
            is_another = generation_id is not None and self._named.generation_id != generation_id
        except ApimartInvalidRequestError:
            is_another = generation_id is not None
            if not is_another:
                raise
        if is_another:
            self._named = named_generation(generation_id)

    @cached_property
    def _wait(self) -> Wait:
        from airflow_provider_apimart.api.waiting import Wait

        return Wait.begin(
            self._named.generation_id,
            submitted=self._named.created,
            poll_interval=None if self.adaptive else self.poke_interval,
            modality=self._named.modality,
            model=self._named.model,
        )

    def _tags(self) -> tuple[str | None, str | None]:
        return self._named.modality, self._named.model

    def _look(self) -> Generation | None:
        """Return the generation if it is completed, ``None`` while it runs, and raise if it has failed."""
        from airflow_provider_apimart.api.generation_status import GenerationStatus
        from airflow_provider_apimart.api.waiting import Verdict

        if self._named.status is GenerationStatus.COMPLETED:
            return self._named
        self._seen = self._read()
        if self._seen is None:
            return None
        self._see(self._seen)
        # Airflow, or the trigger, checks the sensor's own timeout.
        decision = self._wait.decide(self._seen, time.time())
        return None if decision.verdict is Verdict.POLL_AGAIN else self._conclude(decision)

    def _read(self) -> Generation | None:
        """Return the generation as it is now, ``None`` where the next poke or the trigger reads it."""
        from airflow_provider_apimart.api.waiting import read_status_with_retries

        policy = replace(self.hook.status_policy, rate_limited_seconds=0.0)
        is_new = self._wait.age(None, time.time()) < policy.new_seconds
        if self.deferrable:
            policy = replace(policy, new_seconds=0.0)
        try:
            return self.hook.read(lambda: read_status_with_retries(self._wait, self.hook.polling_stats.routes, policy))
        except ApimartStatusUnreadableError as error:
            if isinstance(error.__cause__, ApimartRateLimitError):
                return None
            raise
        except ApimartGenerationNotFoundError:
            # The trigger looks for a new generation; a rescheduled poke would forget when it was first named.
            if self.deferrable and is_new:
                return None
            raise

    def _conclude(self, decision: WaitDecision) -> Generation:
        try:
            return super()._conclude(decision)
        except ApimartWaitTimeoutError as error:
            if self.execution_timeout and self.execution_timeout.total_seconds() < self.timeout:
                raise
            raise AirflowSensorTimeout(str(error)) from error

    def _is_counted_here(self) -> bool:
        # What an operator has waited for is counted there. A bare id says nothing of its submit.
        return not self._named.status.is_final and self._named.modality is not None

    def _described(self, generation: Generation) -> Generation:
        named = self._named
        return generation.known_as(key=named.key, prompt_sha256=named.prompt_sha256, requested=named.requested)

    def _named_by(self, generation_id: str | None) -> Generation | None:
        return super()._named_by(generation_id or self._named.generation_id)

    def _deliver(self, context: Context, generation: Generation) -> dict[str, Any]:
        generation = self._last_known = self._described(generation)
        self._emit_completion(context, generation)
        return super()._deliver(context, self.hook.with_urls(generation))

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        if not self.adaptive:
            return float(super()._get_next_poke_interval(started_at, run_duration, poke_count))
        # Each poke of a rescheduled sensor is a new process: only Airflow knows when the sensor started.
        wait = replace(self._wait, started_at=min(self._wait.started_at, time.time() - run_duration()))
        seconds = wait.pause(self._seen, self.hook.polling_stats, time.time(), random.random())
        return max(seconds, _SHORTEST_RESCHEDULE) if self.mode == "reschedule" else seconds
