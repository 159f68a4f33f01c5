"""Operators that generate images, videos and music: one task instance is one paid generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import conf

from airflow_provider_apimart.api.arguments import (
    is_template,
    one_of,
    optional_dollars,
    optional_name,
    optional_seconds,
    switch,
)
from airflow_provider_apimart.events.generation_event import EventKind
from airflow_provider_apimart.exceptions import ApimartArgumentError, ApimartInvalidRequestError
from airflow_provider_apimart.library.options import check_reuse
from airflow_provider_apimart.operators.saving import SavesOutputs, noted_uploads
from airflow_provider_apimart.operators.waiting import WaitsForGeneration
from airflow_provider_apimart.rendering import RendersText
from airflow_provider_apimart.results.storage.file_names import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import PurePath

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.flow import Flow
    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.json_values import JsonObject
    from airflow_provider_apimart.api.waiting import Wait
    from airflow_provider_apimart.durable.paid_request import PaidRequest
    from airflow_provider_apimart.durable.record import Record

    Reference = str | PurePath | ObjectStoragePath

_DEFAULT_TIMEOUT = timedelta(hours=1)
# Templated fields that are not sent under their own names.
_NOT_SENT = ("parameters", "key", "max_cost", "destination", "filename", "library", "apimart_conn_id")


class ApimartGenerationOperator(SavesOutputs, WaitsForGeneration, RendersText):
    """
    Submit one generation and, by default, wait for it. Base class of the generation operators.

    **One task instance is one paid generation.** A retry resumes waiting for a running generation and returns a
    finished one. It submits a new one only if the generation failed at APIMart, which refunds it. Clearing a task that
    has succeeded submits a new one. :doc:`/durable-execution` has the conditions, in particular below Airflow 3.3.

    The generation's id is in the log, and in XCom under ``generation_id``, before the wait begins. The events of assets
    among the task's ``outlets`` describe the generation: see :doc:`/assets`.

    :param model: APIMart's id of the model. (templated)
    :param prompt: The prompt, or the path of an existing ``.txt`` or ``.md`` file with it, relative to the DAG's
        folder; ``literal("README.md")`` of Airflow sends such a text itself. (templated)
    :param image_urls: Public URLs of reference images, such as the output of
        :class:`~airflow_provider_apimart.operators.upload.ApimartUploadImageOperator`; also files, with
        ``upload_references``. (templated)
    :param size: Aspect ratio such as ``16:9``, or pixels such as ``1024x1024``, as the model takes it. (templated)
    :param resolution: Resolution as the model takes it, such as ``1K`` or ``1080p``. (templated)
    :param seed: Seed, for models that take one. (templated)
    :param negative_prompt: Negative prompt, for models that take one. (templated)
    :param parameters: Any other parameters of the model, sent unchanged. The model's page at APIMart lists them.
        (templated)
    :param key: Your own name for the generation, such as a product number: a text of 1 to 200 printable characters. It
        is in the log, the return value and the events of assets, and names files with ``filename="{key}_{index}"`` of
        the transfer. It is not sent to APIMart. (templated)
    :param upload_references: Whether fields for URLs of images, also those in ``parameters``, may name files: local
        paths on the worker, or URIs or paths of Airflow's object storage. Each distinct content is uploaded once,
        before the submit, and again only shortly before its 72 hours end. Files are compared by content: a retry needs
        them, and a changed file is a changed input.
    :param wait_for_completion: Whether to wait. If not, the submitted generation is returned at once, for an
        :class:`~airflow_provider_apimart.sensors.generation.ApimartGenerationSensor`.
    :param deferrable: Whether to wait in the triggerer, without a worker slot.
    :param poll_interval: Seconds or a timedelta between two status reads; ``None`` adapts to the run time.
    :param timeout: Seconds or a timedelta that one try waits at most, ``None`` for no limit. If the timeout expires,
        the generation keeps running, and a retry resumes waiting at no cost. ``execution_timeout`` holds too, also
        while the task is deferred.
    :param on_unknown_outcome: Handling of a submit whose reply was lost, so that it may or may not have been charged:
        ``"retry_same_key"`` repeats the identical request with the same idempotency key, which APIMart charges once
        within 24 hours; ``"fail"`` sends nothing more and leaves the decision to a person.
    :param max_cost: US dollars that the generation may cost, ``None`` for no limit. A request that is quoted above it
        at APIMart's public prices, or that has no quote, is refused before anything is sent. See :doc:`/cost`.
        (templated)
    :param destination: Directory on this machine, or any URI of Airflow's object storage, to which this task saves the
        outputs once the generation is completed; their details are in XCom under ``files``. A retry saves what is
        missing, at no cost. ``None`` saves nothing: result URLs expire after about a day. (templated)
    :param filename: Template of the files' names, as for
        :class:`~airflow_provider_apimart.transfers.apimart_to_object_storage.ApimartToObjectStorageOperator`.
        (templated)
    :param allow_private_hosts: Hosts and networks that aren't public and may be fetched from, such as
        ``["cdn.internal", "198.18.0.0/15"]``; ``True`` for all of them. The connection's own host and port may always.
    :param reuse_within: Seconds or a timedelta: a request that was completed and saved within this time, by whatever
        task, isn't made again; its files are reused, and ``reused`` in XCom has the id of its generation. ``None``
        reuses nothing. It needs a ``destination`` and a library. A task that has succeeded and is cleared makes a new
        generation. See :doc:`/library`.
    :param library: Directory or URI of the library, by default ``[apimart] library_path`` of Airflow's configuration.
        What the task makes and saves is entered there. (templated)
    :param copy_reused: Whether reused files are copied into the destination. If not, ``files`` names them where they
        are.
    :param check: What is done before a submit about contradictions between the request and APIMart's description of
        the model: ``"warn"`` logs them, ``"refuse"`` fails the task before anything is sent, ``"off"`` doesn't check.
        See :doc:`/checks`.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    modality: ClassVar[str]
    _record: Record | None = None
    # The id is pushed before the wait.
    xcom_keys = frozenset({"url", "urls"})

    #: Arguments that are sent under their own names.
    payload_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "prompt",
        "image_urls",
        "size",
        "resolution",
        "seed",
        "negative_prompt",
    )
    template_fields: Sequence[str] = (*payload_fields, *_NOT_SENT)
    #: ``prompt="prompts/cat.txt"`` reads the prompt from a file in the DAG's folder, itself a template.
    file_fields: ClassVar[tuple[str, ...]] = ("prompt", "negative_prompt")
    template_fields_renderers: ClassVar[dict[str, str]] = {"parameters": "json"}
    ui_color = "#d3e3fd"

    def __init__(
        self,
        *,
        model: str,
        prompt: str | None = None,
        image_urls: Sequence[Reference | Mapping[str, Any]] | Reference | None = None,
        size: str | None = None,
        resolution: str | None = None,
        seed: int | str | None = None,
        negative_prompt: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        key: str | int | None = None,
        upload_references: bool = False,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | str | timedelta | None = None,
        timeout: float | str | timedelta | None = _DEFAULT_TIMEOUT,
        on_unknown_outcome: Literal["retry_same_key", "fail"] = "retry_same_key",
        max_cost: float | str | Decimal | None = None,
        destination: str | ObjectStoragePath | None = None,
        filename: str = DEFAULT_TEMPLATE,
        allow_private_hosts: bool | str | Sequence[str] = False,
        reuse_within: float | timedelta | None = None,
        library: str | ObjectStoragePath | None = None,
        copy_reused: bool = True,
        check: Literal["warn", "refuse", "off"] = "warn",
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.prompt = prompt
        self.image_urls = image_urls
        self.size = size
        self.resolution = resolution
        self.seed = seed
        self.negative_prompt = negative_prompt
        self.parameters = parameters
        self.key = key if is_template(key) else optional_name(key, "key")
        self.upload_references = switch(upload_references, "upload_references")
        self.wait_for_completion = switch(wait_for_completion, "wait_for_completion")
        self.deferrable = switch(deferrable, "deferrable")
        self.poll_interval = optional_seconds(poll_interval, "poll_interval", exclusive=True)
        self.timeout = optional_seconds(timeout, "timeout")
        self.on_unknown_outcome = one_of(on_unknown_outcome, "on_unknown_outcome", ("retry_same_key", "fail"))
        self.max_cost = max_cost if is_template(max_cost) else optional_dollars(max_cost, "max_cost")
        self.destination = destination
        self.filename = filename
        self.allow_private_hosts = allow_private_hosts
        if destination is not None and not self.wait_for_completion:
            raise ApimartArgumentError(
                "Invalid argument: destination needs wait_for_completion, since only finished outputs can be saved"
            )
        self.reuse_within = optional_seconds(reuse_within, "reuse_within", exclusive=True)
        self.library = library
        self.copy_reused = switch(copy_reused, "copy_reused")
        check_reuse(destination, reuse_within=reuse_within, library=library)
        self.check = one_of(check, "check", ("warn", "refuse", "off"))
        self.apimart_conn_id = apimart_conn_id
        self._generation_id: str | None = None

    def _tags(self) -> tuple[str | None, str | None]:
        return self.modality, self.model

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Return the generation of this task instance in its XCom form.

        :raises ApimartInvalidRequestError: Before anything is sent, if the request is invalid, or contradicts the
            description of its model and ``check="refuse"``. Not retried.
        :raises ApimartCostLimitError: Before anything is sent, if it may cost more than ``max_cost``. Not retried.
        :raises ApimartDestinationError: If the destination can't be written. Before the submit, nothing was sent; after
            it, a retry saves the outputs at no cost.
        :raises ApimartLibraryError: If the library can't be read and ``max_cost`` is set. Nothing was submitted.
        :raises ApimartIndeterminateOutcomeError: If a person has to decide whether to pay again. Not retried.
        :raises ApimartUnknownOutcomeError: If the outcome of a submit is unknown. A retry repeats it with the same key.
        :raises ApimartGenerationFailedError: If the generation failed. A retry submits a new one.
        :raises ApimartWaitTimeoutError: If the timeout expired. A retry resumes waiting.
        """
        with self._reporting_errors(context):
            return self._begin(context)

    def on_kill(self) -> None:
        """Log that the generation keeps running: APIMart cannot cancel it."""
        if self._generation_id:
            self.log.warning(
                "Generation %s keeps running and is charged, although its task was killed. A retry resumes waiting",
                self._generation_id,
            )
        else:
            self.log.warning(
                "The task was killed before it had a generation. If its submit was being sent, a retry repeats it with "
                "the same idempotency key"
            )

    def payload(self) -> dict[str, Any]:
        """
        Return the body of the request, with files as the user named them.

        :raises ApimartInvalidRequestError: If it is invalid.
        """
        from airflow_provider_apimart.api.payload import build_payload

        self.check_rendered()
        arguments = {name: getattr(self, name) for name in self.payload_fields}
        return build_payload(arguments, self.parameters, with_files=self.upload_references)

    def _begin(self, context: Context) -> dict[str, Any]:
        self._forget_earlier_run()
        generation = self._obtain(context)
        self._announce(context, generation)
        if self.wait_for_completion and not generation.status.is_final:
            generation = self._finished(context, generation)
        return self._deliver(context, generation)

    def _obtain(self, context: Context) -> Generation:
        from airflow_provider_apimart.api.contract import Modality
        from airflow_provider_apimart.api.waiting import failure_error
        from airflow_provider_apimart.durable.decision import OnUnknownOutcome
        from airflow_provider_apimart.durable.paid_once import PaidOnce
        from airflow_provider_apimart.durable.task_identity import task_identity
        from airflow_provider_apimart.hooks.reference_files import ReferenceFiles

        key = optional_name(self.key, "key")
        request = ReferenceFiles().request(self.apimart_conn_id, Modality(self.modality), self.payload())
        max_cost = optional_dollars(self.max_cost, "max_cost")
        record, library = self._record_of(context), self.open_library()
        self.find_kept(context, request, record, library)
        if self.kept:
            return self.kept.generation.known_as(key=key)
        paid = PaidOnce(
            task=task_identity(context["ti"]),
            request=request,
            record=record,
            key_scope=self.hook.key_scope,
            on_unknown_outcome=OnUnknownOutcome(self.on_unknown_outcome),
            routes=self.hook.polling_stats.routes,
            submit_policy=self.hook.submit_policy,
            status_policy=self.hook.status_policy,
            upload_policy=self.hook.upload_policy,
            known_uploads=noted_uploads(record, library),
            before_submit=lambda: self._before_submit(request, max_cost),
            on_submitted=partial(self._emit, context, EventKind.SUBMITTED),
            on_failed=lambda failed: self._emit(context, EventKind.FAILED, failed, error=failure_error(failed)),
        )
        return self.hook.run(paid.obtain()).known_as(key=key)

    def _before_submit(self, request: PaidRequest, max_cost: Decimal | None) -> Flow[JsonObject | None]:
        """Check a request against its model's description and against the limit, and return its quote."""
        from airflow_provider_apimart.checks.check import Check, CheckedRequest, check_requests
        from airflow_provider_apimart.quotes.quote import check_cost_limit

        yield from check_requests(Check(self.check), self.hook.key_scope, [CheckedRequest.of(request)])
        if max_cost is None:
            return None
        quote = yield from self.hook.price_book.quote(request.modality, request.payload)
        check_cost_limit(quote, max_cost)
        self.log.info("The generation is quoted at %s", quote)
        return quote.to_json()

    def _announce(self, context: Context, generation: Generation) -> None:
        self._generation_id, self._last_known = generation.generation_id, generation
        self._emit(context, EventKind.OBTAINED, generation)
        if generation.generation_id:
            context["ti"].xcom_push(key="generation_id", value=generation.generation_id)

    def _finished(self, context: Context, generation: Generation) -> Generation:
        """Return the generation when it is completed, or defer."""
        self._emit(context, EventKind.WAITING, generation)
        wait = self._wait(generation)
        if self.deferrable:
            self._defer(context, self._within_execution_timeout(context, wait))
        return self.hook.finish(wait, on_status=self._see)

    def _wait(self, generation: Generation) -> Wait:
        from airflow_provider_apimart.api.waiting import Wait

        return Wait.begin(
            generation.generation_id,
            submitted=generation.created,
            timeout=self.timeout,
            poll_interval=self.poll_interval,
            modality=generation.modality,
            model=generation.model,
        )

    def _deliver(self, context: Context, generation: Generation) -> dict[str, Any]:
        from airflow_provider_apimart.api.waiting import check_not_empty
        from airflow_provider_apimart.compat.success import after_success
        from airflow_provider_apimart.durable.paid_once import note_delivery, recorded_quote
        from airflow_provider_apimart.library.kept_result import note_reuse_delivery

        self._generation_id = generation.generation_id
        record = self._record_of(context)
        quote = recorded_quote(record, generation.generation_id)
        generation = self._last_known = self._with_request(generation).known_as(quote=quote)
        if generation.status.is_final:
            self._emit_completion(context, generation)
            check_not_empty(generation)
            generation = generation if self.destination else self.hook.with_urls(generation)
        ti, note = context["ti"], note_reuse_delivery if generation.reused else note_delivery
        # Not before Airflow has the success: a task that is cleared after it was killed here goes on with its result.
        after_success(ti, lambda: note(record, generation.generation_id, ti.max_tries))
        return super()._deliver(context, generation)

    def _is_first_report(self, context: Context, generation: Generation | None) -> bool:
        from airflow_provider_apimart.durable.paid_once import note_first_end

        if self.kept:
            return self.kept.is_new
        return generation is None or note_first_end(self._record_of(context), generation)

    def _described(self, generation: Generation) -> Generation:
        return self._with_request(generation)

    def _recorded(self, context: Context, generation_id: str | None) -> Generation | None:
        from airflow_provider_apimart.durable.paid_once import recorded_generation

        try:
            return recorded_generation(self._record_of(context), generation_id)
        except Exception:
            # Any error: it is reported what this task knows without the record, which may be what can't be read.
            self.log.debug("The record could not be read", exc_info=True)
            return None

    def _record_of(self, context: Context) -> Record:
        """Return the record of this try, which is opened once."""
        from airflow_provider_apimart.durable.record_choice import record_of

        if self._record is None:
            self._record = record_of(context)
        return self._record

    def _forget_earlier_run(self) -> None:
        super()._forget_earlier_run()
        self._record = None

    def _saved(self, context: Context, generation: Generation) -> list[dict[str, Any]] | None:
        return self.save_outputs(context, generation, self._record_of(context))

    def _saved_cost(self) -> Decimal | None:
        return self.kept.saved_cost if self.kept else None

    def _request(self) -> Mapping[str, Any] | None:
        try:
            return self.payload()
        except ApimartInvalidRequestError:
            return None

    def _with_request(self, generation: Generation) -> Generation:
        """Return the generation with the facts of the request, which no status reply has."""
        from airflow_provider_apimart.api.contract import Modality
        from airflow_provider_apimart.api.payload import prompt_sha256, requested_outputs

        try:
            payload, key = self.payload(), optional_name(self.key, "key")
        except ApimartInvalidRequestError:
            # It was valid when it was sent. A template may render differently on resuming, which fails nothing paid.
            return generation
        return generation.known_as(
            key=key,
            prompt_sha256=prompt_sha256(payload.get("prompt")),
            requested=requested_outputs(Modality(self.modality), payload),
        )


class ApimartImageGenerationOperator(ApimartGenerationOperator):
    """
    Generate images: one task instance is one paid generation.

    All arguments of :class:`ApimartGenerationOperator`, and:

    :param n: Number of images. (templated)
    :param quality: Quality, for models that take one. (templated)
    :param mask_url: Public URL of a mask, or a file with ``upload_references``, for models that edit images.
        (templated)
    """

    modality = "image"
    payload_fields = (*ApimartGenerationOperator.payload_fields, "n", "quality", "mask_url")
    template_fields = (*payload_fields, *_NOT_SENT)

    def __init__(
        self,
        *,
        n: int | str | None = None,
        quality: str | None = None,
        mask_url: Reference | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n = n
        self.quality = quality
        self.mask_url = mask_url


class ApimartVideoGenerationOperator(ApimartGenerationOperator):
    """
    Generate a video: one task instance is one paid generation.

    All arguments of :class:`ApimartGenerationOperator`, and:

    :param duration: Length in seconds. (templated)
    :param aspect_ratio: Aspect ratio as the model takes it, such as ``16:9``. (templated)
    :param image_with_roles: Reference images with their roles, as the model takes them, such as
        ``[{"url": ..., "role": "first_frame"}]``. (templated)
    """

    modality = "video"
    payload_fields = (*ApimartGenerationOperator.payload_fields, "duration", "aspect_ratio", "image_with_roles")
    template_fields = (*payload_fields, *_NOT_SENT)

    def __init__(
        self,
        *,
        duration: float | str | None = None,
        aspect_ratio: str | None = None,
        image_with_roles: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.duration = duration
        self.aspect_ratio = aspect_ratio
        self.image_with_roles = image_with_roles


class ApimartMusicGenerationOperator(ApimartGenerationOperator):
    """
    Generate music: one task instance is one paid generation, usually of two tracks.

    The tracks come first in ``urls``; the same tracks as WAV and their covers follow, with the kinds ``audio_wav``
    and ``cover``. Titles, lyrics and lengths are in ``result``.

    All arguments of :class:`ApimartGenerationOperator`, and:

    :param title: Title of the tracks. (templated)
    :param style: Style of the music, as the model takes it. (templated)
    :param instrumental: Whether to leave out vocals, for models that take it.
    :param duration: Length in seconds. Some models call it ``length``, which goes into ``parameters``. (templated)
    :param audio_format: Format of the tracks, as the model takes it, such as ``mp3``. (templated)
    """

    modality = "music"
    payload_fields = (
        *ApimartGenerationOperator.payload_fields,
        "title",
        "style",
        "instrumental",
        "duration",
        "audio_format",
    )
    template_fields = (*payload_fields, *_NOT_SENT)

    def __init__(
        self,
        *,
        title: str | None = None,
        style: str | None = None,
        instrumental: bool | None = None,
        duration: float | str | None = None,
        audio_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.style = style
        self.instrumental = instrumental
        self.duration = duration
        self.audio_format = audio_format
