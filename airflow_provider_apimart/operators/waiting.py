"""Base of the operators and sensors that wait for a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_apimart.compat.resumption import must_restart
from airflow_provider_apimart.compat.xcom import keys_named_downstream, returnable
from airflow_provider_apimart.events.generation_event import EventKind
from airflow_provider_apimart.exceptions import ApimartError, ApimartGenerationFailedError
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.links.generation import ApimartGenerationLink, LinksGeneration

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.waiting import Wait, WaitDecision
    from airflow_provider_apimart.events.generation_event import EventHandler
    from airflow_provider_apimart.page_index.writing import IndexFile

    _Operator = BaseOperator
else:
    _Operator = object


class WaitsForGeneration(LinksGeneration, EmitsLineage, LazyHook, _Operator):
    """
    Mixin of operators and sensors that wait for a generation, on the worker or in the triggerer, and return it.

    A subclass says how a try begins (:meth:`_begin`) and what its events name (:meth:`_tags`).
    """

    operator_extra_links = (ApimartGenerationLink(),)
    #: Where a task saves the outputs, ``None`` if it doesn't.
    destination: str | ObjectStoragePath | None = None
    #: Keys of the returned generation that are XComs of their own in any case.
    xcom_keys: ClassVar[frozenset[str]] = frozenset({"generation_id", "url", "urls"})
    #: Class of the error for a generation that failed.
    failure_class: ClassVar[type[ApimartGenerationFailedError]] = ApimartGenerationFailedError
    _last_known: Generation | None = None
    _reported_error: ApimartError | None = None
    _has_reported_end = False

    def execute_complete(self, context: Context, event: Any, generation_id: str | None = None) -> dict[str, Any]:
        """
        Return the generation that the trigger waited for, or raise the error that ended the wait.

        :param event: See :class:`~airflow_provider_apimart.triggers.generation.ApimartGenerationTrigger`.
        :param generation_id: The generation that was waited for, in case the event cannot be read.
        """
        from airflow_provider_apimart.api.wait_event import decision_from_event

        restarts = must_restart(event, context)
        with self._reporting_errors(context, None if restarts else generation_id):
            if restarts:
                return self._begin(context)
            return self._deliver(context, self._conclude(decision_from_event(event, generation_id)))

    def _begin(self, context: Context) -> dict[str, Any]:
        """Begin a try: return the finished generation, or defer."""
        raise NotImplementedError

    def _tags(self) -> tuple[str | None, str | None]:
        """Return the modality and the model as requested, as far as they are known."""
        raise NotImplementedError

    @cached_property
    def _progress(self) -> Callable[[Generation], None]:
        from airflow_provider_apimart.api.progress import ProgressLog

        return ProgressLog(self.log)

    @cached_property
    def _index_file(self) -> IndexFile:
        from airflow_provider_apimart.page_index.writing import IndexFile

        return IndexFile()

    def _forget_earlier_run(self) -> None:
        """Forget what this object has reported, should it be run more than once."""
        self.generation_link = ""
        self.lineage_facts = None
        self._last_known, self._reported_error, self._has_reported_end = None, None, False

    def _see(self, generation: Generation) -> None:
        """Take note of what a status read has shown."""
        self._last_known = generation
        self._progress(generation)

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
        """Return the generation of a wait that has ended, or raise the error that ended it."""
        from airflow_provider_apimart.api.waiting import finished_generation

        self._last_known = decision.generation or self._last_known
        return finished_generation(decision, failure=self.failure_class)

    def _request(self) -> Mapping[str, Any] | None:
        """Return the body of the request, ``None`` if another task has sent it or it can't be said."""
        return None

    def _saved_cost(self) -> Decimal | None:
        """Return what the reused generation had cost, ``None`` if there is none or it isn't known."""
        return None

    def _emit(self, context: Context, kind: EventKind, generation: Generation | None = None, **known: Any) -> None:
        """
        Report what has happened to the generation, in log, metrics, pages and lineage.

        :param known: Further attributes of the event.
        """
        from airflow_provider_apimart.events.generation_event import GenerationEvent, hand_over

        modality, model = self._tags()
        event = GenerationEvent(
            kind,
            modality,
            model,
            generation,
            request=self._request(),
            destination=None if self.destination is None else str(self.destination),
            saved_cost=self._saved_cost(),
            **known,
        )
        hand_over(event, self._event_handlers(context))

    def _event_handlers(self, context: Context) -> Iterator[EventHandler]:
        from airflow_provider_apimart.events.log import EventLog
        from airflow_provider_apimart.events.metrics import GenerationMetrics
        from airflow_provider_apimart.page_index.generations import report_event

        yield EventLog(self.log)
        if self._is_counted_here():
            yield GenerationMetrics(self.dag_id, self.task_id)
        yield partial(report_event, context, self._index_file)
        yield partial(self.emit_lineage_of, context)

    def _is_counted_here(self) -> bool:
        """Whether the metrics count the generation in this task, not in another one."""
        return True

    @contextmanager
    def _reporting_errors(self, context: Context, generation_id: str | None = None) -> Iterator[None]:
        """
        Report an error that is raised inside.

        :param generation_id: The generation that was waited for, if the try didn't begin with it.
        """
        try:
            yield
        except ApimartError as error:
            if error is not self._reported_error:
                self._reported_error = error
                try:
                    self._emit_failure(context, error, error.generation_id or generation_id)
                except Exception:
                    # Any error: what is wrong with an argument or the record must not hide this one.
                    self.log.debug("The error could not be reported", exc_info=True)
            raise

    def _emit_failure(self, context: Context, error: ApimartError, generation_id: str | None) -> None:
        known = self._last_known and self._described(self._last_known)
        ends = known is not None and known.has_failed
        known = known or self._recorded(context, generation_id) or self._named_by(generation_id)
        if known is not None and not ends:
            self._emit_completion(context, known)
        is_first = not ends or self._is_first_report(context, known)
        self._emit(context, EventKind.FAILED, known, error=error, is_first=is_first)

    def _emit_completion(self, context: Context, generation: Generation) -> None:
        """Report a completed generation, before anything that may fail is done with it."""
        if generation.status.is_final and not self._has_reported_end:
            self._has_reported_end = True
            kind = EventKind.REUSED if generation.reused else EventKind.COMPLETED
            self._emit(context, kind, generation, is_first=self._is_first_report(context, generation))

    def _is_first_report(self, context: Context, generation: Generation | None) -> bool:
        """Note the end of a generation where there is a record, and return whether no earlier try has noted it."""
        return True

    def _described(self, generation: Generation) -> Generation:
        """Return a generation with what this task knows of it, which no status reply has."""
        return generation

    def _recorded(self, context: Context, generation_id: str | None) -> Generation | None:
        """Return a completed generation as the record has it, ``None`` if there is none."""
        return None

    def _named_by(self, generation_id: str | None) -> Generation | None:
        """Return the generation with an id, ``None`` without one."""
        from airflow_provider_apimart.api.generation import generation_from_xcom

        if generation_id is None:
            return None
        modality, model = self._tags()
        return generation_from_xcom({"generation_id": generation_id, "modality": modality, "model": model})

    def _deliver(self, context: Context, generation: Generation) -> dict[str, Any]:
        """Save a generation where asked to, return it in its XCom form, and report it."""
        self._last_known = generation
        self._emit_completion(context, generation)
        if generation.status.is_final and not generation.reused:
            self._emit(context, EventKind.AVAILABLE, generation)
        self.link(context, generation)
        files = self._saved(context, generation)
        self._emit(context, EventKind.DELIVERED, generation, files=files)
        returned = returnable(generation.to_xcom() | ({} if files is None else {"files": files}))
        if not self.multiple_outputs:
            self._push_keys(context, returned)
        return returned

    def _saved(self, context: Context, generation: Generation) -> list[dict[str, Any]] | None:
        """Save the outputs of a finished generation and return the files in XCom form, ``None`` if it isn't asked."""
        return None

    def _push_keys(self, context: Context, returned: dict[str, Any]) -> None:
        """Push the keys that downstream tasks name: each push is a call to Airflow's API server."""
        for key in sorted(self.xcom_keys | keys_named_downstream(self)):
            if key in returned:
                context["ti"].xcom_push(key=key, value=returned[key])
