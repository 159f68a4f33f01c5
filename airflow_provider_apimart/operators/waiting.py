"""Base of the operators and sensors that wait for a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_apimart.compat.resumption import must_restart
from airflow_provider_apimart.compat.xcom import keys_named_downstream, returnable
from airflow_provider_apimart.exceptions import ApimartError, ApimartGenerationFailedError
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.links.generation import ApimartGenerationLink, LinksGeneration

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.waiting import Wait, WaitDecision
    from airflow_provider_apimart.metrics import GenerationMetrics

    _Operator = BaseOperator
else:
    _Operator = object


class WaitsForGeneration(LinksGeneration, EmitsLineage, LazyHook, _Operator):
    """
    Mixin of operators and sensors that wait for a generation, on the worker or in the triggerer, and return it.

    A subclass says how a try begins (:meth:`_begin`) and what its metrics are tagged with (:meth:`_tags`).
    """

    operator_extra_links = (ApimartGenerationLink(),)
    #: Where a task saves the outputs, ``None`` if it doesn't.
    destination: str | ObjectStoragePath | None = None
    #: Keys of the returned generation that are XComs of their own in any case.
    xcom_keys: ClassVar[frozenset[str]] = frozenset({"generation_id", "url", "urls"})
    #: Class of the error for a generation that failed.
    failure_class: ClassVar[type[ApimartGenerationFailedError]] = ApimartGenerationFailedError
    _last_known: Generation | None = None

    def execute_complete(self, context: Context, event: Any, generation_id: str | None = None) -> dict[str, Any]:
        """
        Return the generation that the trigger waited for, or raise the error that ended the wait.

        :param event: See :class:`~airflow_provider_apimart.triggers.generation.ApimartGenerationTrigger`.
        :param generation_id: The generation that was waited for, in case the event cannot be read.
        """
        from airflow_provider_apimart.api.wait_event import decision_from_event

        if must_restart(event, context):
            return self._begin(context)
        with self._reporting_errors(context, generation_id):
            return self._deliver(context, self._conclude(decision_from_event(event, generation_id)))

    def _begin(self, context: Context) -> dict[str, Any]:
        """Begin a try: return the finished generation, or defer."""
        raise NotImplementedError

    def _tags(self) -> tuple[str | None, str | None]:
        """Return the modality and the model, for the metrics."""
        raise NotImplementedError

    @cached_property
    def _metrics(self) -> GenerationMetrics:
        from airflow_provider_apimart.metrics import GenerationMetrics

        return GenerationMetrics(*self._tags(), dag_id=self.dag_id, task_id=self.task_id)

    @cached_property
    def _progress(self) -> Callable[[Generation], None]:
        from airflow_provider_apimart.api.progress import ProgressLog

        return ProgressLog(self.log)

    def _defer(self, context: Context, wait: Wait) -> NoReturn:
        from airflow_provider_apimart.triggers.generation import trigger_for

        self.defer(
            trigger=trigger_for(wait, self.apimart_conn_id, context["ti"].try_number),
            method_name="execute_complete",
            kwargs={"generation_id": wait.generation_id},
        )

    def _within_execution_timeout(self, context: Context, wait: Wait) -> Wait:
        """Return the wait with a deadline that keeps ``execution_timeout``: Airflow 3 does not count deferred time."""
        if self.execution_timeout is None:
            return wait
        started = context["ti"].start_date or datetime.now(UTC)
        deadline = started.timestamp() + self.execution_timeout.total_seconds()
        return replace(wait, deadline=min(deadline, wait.deadline or deadline))

    def _conclude(self, decision: WaitDecision) -> Generation:
        """Return the generation of a wait that has ended, or raise and count the error that ended it."""
        from airflow_provider_apimart.api.waiting import finished_generation

        with self._metrics.counting():
            return finished_generation(decision, failure=self.failure_class)

    def _request(self) -> Mapping[str, Any] | None:
        """Return the body of the request, ``None`` if another task has sent it or it can't be said."""
        return None

    def _saved_cost(self) -> Decimal | None:
        """Return what the reused generation had cost, ``None`` if there is none or it isn't known."""
        return None

    def _report(self, context: Context, generation: Generation, files: Sequence[Mapping[str, Any]] | None) -> None:
        """Report a generation to the index that the pages in Airflow's interface read."""
        from airflow_provider_apimart.page_index.generations import report_generation

        report_generation(
            context,
            generation,
            request=self._request(),
            files=files,
            destination=None if self.destination is None else str(self.destination),
            saved_cost=self._saved_cost(),
        )

    @contextmanager
    def _reporting_errors(self, context: Context, generation_id: str | None = None) -> Iterator[None]:
        """
        Report an error that is raised inside.

        :param generation_id: The generation that was waited for, if the try didn't begin with it.
        """
        try:
            yield
        except ApimartError as error:
            from airflow_provider_apimart.page_index.generations import report_error

            with suppress(ApimartError):
                report_error(context, self._last_known, error, generation_id, self._tags(), self._request())
            raise

    def _deliver(self, context: Context, generation: Generation) -> dict[str, Any]:
        """Save a generation where asked to, return it in its XCom form, and report it in log, link and lineage."""
        from airflow_provider_apimart.lineage.event_content import GenerationFacts, saved_file, unsaved

        self._last_known = generation
        if generation.status.is_final:
            self._log_results(generation)
        self.link(context, generation)
        files = self._saved(context, generation)
        self._report(context, generation, files)
        facts = unsaved(generation) if files is None else GenerationFacts(generation, tuple(map(saved_file, files)))
        self.emit_lineage(context, [facts], destination=None if files is None else str(self.destination))
        returned = returnable(generation.to_xcom() | ({} if files is None else {"files": files}))
        if not self.multiple_outputs:
            self._push_keys(context, returned)
        return returned

    def _saved(self, context: Context, generation: Generation) -> list[dict[str, Any]] | None:
        """Save the outputs of a finished generation and return the files in XCom form, ``None`` if it isn't asked."""
        return None

    def _log_results(self, generation: Generation) -> None:
        if generation.reused:
            self.log.info("Generation %s is reused from the library at no cost", generation.reused)
            return
        self.log.info("Generation %s is completed%s", generation.generation_id, _run_time_and_cost(generation))
        for number, url in enumerate(generation.urls, 1):
            self.log.info("Result %d of %d: %s", number, len(generation.urls), url)
        if generation.missing_outputs:
            self.log.warning(
                "APIMart delivered fewer outputs than requested: %d of %d are missing from generation %s",
                generation.missing_outputs,
                generation.requested,
                generation.generation_id,
            )
        elif not generation.outputs and not generation.result:
            self.log.warning("Generation %s is completed but has no result", generation.generation_id)

    def _push_keys(self, context: Context, returned: dict[str, Any]) -> None:
        """Push the keys that downstream tasks name: each push is a call to Airflow's API server."""
        for key in sorted(self.xcom_keys | keys_named_downstream(self)):
            if key in returned:
                context["ti"].xcom_push(key=key, value=returned[key])


def _run_time_and_cost(generation: Generation) -> str:
    from airflow_provider_apimart.api.dollars import written_dollars

    took = ""
    if generation.created and generation.completed:
        took = f" in {(generation.completed - generation.created).total_seconds():.0f} s"
    return f"{took} for {written_dollars(generation.cost)}" if generation.cost is not None else took
