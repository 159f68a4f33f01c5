"""Making pictures and clips: one task instance is one paid generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.operators.waiting import WaitsForGeneration

if TYPE_CHECKING:
    from pathlib import PurePath

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.api.waiting import Wait

    Reference = str | PurePath | ObjectStoragePath

_DEFAULT_TIMEOUT = timedelta(hours=1)


class ApimartGenerationOperator(WaitsForGeneration, BaseOperator):
    """
    Submit one generation and, by default, wait for it. Base of the operators for pictures and clips.

    **One task instance is one paid generation.** A retry takes the running generation up again, returns a finished
    one, and submits anew only after the generation failed at APIMart, which refunds it. Clearing a task that has
    succeeded makes a new one. See :doc:`/durable-execution` for what that does and does not promise, in particular
    below Airflow 3.3.

    The generation's id is in XCom under ``generation_id`` and in the log before the wait begins. The events of assets
    among the task's ``outlets`` tell of the generation: see :doc:`/assets`.

    :param model: APIMart's id of the model. (templated)
    :param prompt: What to make, or the path of a ``.txt`` or ``.md`` file beside the DAG that says it. (templated)
    :param image_urls: Public URLs of reference pictures, such as the output of
        :class:`~airflow_provider_apimart.operators.upload.ApimartUploadImageOperator`, or files with
        ``upload_references``. (templated)
    :param size: As the model takes it: an aspect ratio such as ``16:9``, or pixels such as ``1024x1024``. (templated)
    :param resolution: As the model takes it, such as ``1K`` or ``1080p``. (templated)
    :param seed: For models that take one. (templated)
    :param negative_prompt: What not to make, for models that take one. (templated)
    :param parameters: Whatever else the model takes, passed through as it is. Each model's names are on its page at
        APIMart. (templated)
    :param upload_references: Whether fields for URLs of pictures, also those in ``parameters``, may name files: local
        paths on the worker, or any URIs or paths of Airflow's object storage. Each distinct content is uploaded once,
        before the submit, and again only when its 72 hours are nearly over. The files count by their content: a retry
        needs them, and one that has changed is another input. Below Airflow 3.3 a retry after a submit has to stop;
        see :doc:`/durable-execution`.
    :param wait_for_completion: Whether to wait. Without, the submitted generation is returned at once, for
        :class:`~airflow_provider_apimart.sensors.generation.ApimartGenerationSensor` to wait for.
    :param deferrable: Whether to wait in the triggerer, which takes no worker slot.
    :param poll_interval: Seconds between two looks at the status; ``None`` adapts to the time waited.
    :param timeout: Seconds or a timedelta that one try waits at most, ``None`` for as long as it takes. A passed
        deadline leaves the generation alone, and a retry takes it up again.
    :param on_unknown_outcome: What to do when no one can say whether a submit was charged, because its answer was
        lost: ``"retry_same_key"`` repeats the identical request with the same idempotency key, which APIMart charges
        once within 24 hours; ``"fail"`` sends nothing more and leaves the decision to a person.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to use. (templated)
    """

    modality: ClassVar[str]
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
    template_fields: Sequence[str] = (*payload_fields, "parameters", "apimart_conn_id")
    #: ``prompt="prompts/cat.txt"`` takes the prompt from a file beside the DAG, rendered as a template.
    template_ext: Sequence[str] = (".txt", ".md")
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
        upload_references: bool = False,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        timeout: float | timedelta | None = _DEFAULT_TIMEOUT,
        on_unknown_outcome: Literal["retry_same_key", "fail"] = "retry_same_key",
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
        self.upload_references = upload_references
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.on_unknown_outcome = on_unknown_outcome
        self.apimart_conn_id = apimart_conn_id
        self._generation_id: str | None = None
        if poll_interval is not None and poll_interval <= 0:
            raise ValueError(f"poll_interval must be a positive number of seconds, not {poll_interval!r}")
        if on_unknown_outcome not in ("retry_same_key", "fail"):
            raise ValueError(f'on_unknown_outcome must be "retry_same_key" or "fail", not {on_unknown_outcome!r}')

    def _tags(self) -> tuple[str | None, str | None]:
        return self.modality, self.model

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Obtain the generation of this task instance and return it in its XCom form.

        :raises ApimartInvalidRequestError: Before anything is sent, if the request can't be right. Not retried.
        :raises ApimartIndeterminateOutcomeError: If only a person can decide whether to pay again. Not retried.
        :raises ApimartUnknownOutcomeError: If a submit's outcome is unknown. A retry repeats it with the same key.
        :raises ApimartGenerationFailedError: If the generation failed. A retry makes a new one.
        :raises ApimartWaitTimeoutError: If the wait ran out. A retry takes the generation up again.
        """
        return self._begin(context)

    def on_kill(self) -> None:
        """Say what stays when the task is killed: APIMart can't cancel a generation."""
        if self._generation_id:
            self.log.warning(
                "Generation %s goes on and bills, although its task was killed; a retry takes it up again",
                self._generation_id,
            )
        else:
            self.log.warning(
                "The task was killed before it knew of a generation; if its submit was under way, a retry finds out by "
                "the same idempotency key"
            )

    def payload(self) -> dict[str, Any]:
        """
        Return the body of the request, in which files stand as the user named them.

        :raises ApimartInvalidRequestError: If it can't be right.
        """
        from airflow_provider_apimart.api.payload import build_payload
        from airflow_provider_apimart.api.references import is_path

        arguments = {name: getattr(self, name) for name in self.payload_fields}
        if isinstance(self.image_urls, str) or is_path(self.image_urls):
            arguments["image_urls"] = [self.image_urls]
        return build_payload(arguments, self.parameters, with_files=self.upload_references)

    def _begin(self, context: Context) -> dict[str, Any]:
        self.generation_link = ""
        with self._metrics.counting():
            generation = self._obtain(context)
            self._announce(context, generation)
            if self.wait_for_completion and not generation.status.is_final:
                generation = self._finished(context, generation)
        return self._deliver(context, generation)

    def _obtain(self, context: Context) -> Generation:
        from airflow_provider_apimart.api.contract import Modality
        from airflow_provider_apimart.durable.decision import OnUnknownOutcome
        from airflow_provider_apimart.durable.identity import task_identity
        from airflow_provider_apimart.durable.paid_once import PaidOnce
        from airflow_provider_apimart.durable.records import record_of
        from airflow_provider_apimart.hooks.reference_files import ReferenceFiles

        request = ReferenceFiles().request(self.apimart_conn_id, Modality(self.modality), self.payload())
        paid = PaidOnce(
            task=task_identity(context["ti"]),
            request=request,
            record=record_of(context),
            key_scope=self.hook.key_scope,
            on_unknown_outcome=OnUnknownOutcome(self.on_unknown_outcome),
            routes=self.hook.polling_stats.routes,
            submit_policy=self.hook.submit_policy,
            status_policy=self.hook.status_policy,
            upload_policy=self.hook.upload_policy,
            on_submitted=self._metrics.submitted,
        )
        return self.hook.run(paid.obtain())

    def _announce(self, context: Context, generation: Generation) -> None:
        self._generation_id = generation.generation_id
        if generation.generation_id:
            context["ti"].xcom_push(key="generation_id", value=generation.generation_id)
        self.log.info("Generation %s of %s: %s", generation.generation_id, self.model, generation.status_word)

    def _finished(self, context: Context, generation: Generation) -> Generation:
        """Return the generation when it is completed, or defer."""
        wait = self._wait(generation)
        if self.deferrable:
            self._defer(context, self._within_execution_timeout(context, wait))
        return self.hook.finish(wait, on_status=self._progress)

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
        from airflow_provider_apimart.durable.paid_once import note_delivery
        from airflow_provider_apimart.durable.records import record_of

        self._generation_id = generation.generation_id
        generation = self._with_request(generation)
        if generation.status.is_final:
            check_not_empty(generation)
            generation = self.hook.with_urls(generation)
            self._metrics.completed(generation)
        note_delivery(record_of(context), generation.generation_id, context["ti"].max_tries)
        return super()._deliver(context, generation)

    def _with_request(self, generation: Generation) -> Generation:
        """Return the generation with the facts of the request, which no status reply has."""
        from airflow_provider_apimart.api.contract import Modality
        from airflow_provider_apimart.api.payload import prompt_sha256, requested_outputs

        try:
            payload = self.payload()
        except ApimartInvalidRequestError:
            # It was valid when it was sent. A template may render differently on resuming, which fails nothing paid.
            return generation
        return generation.known_as(
            prompt_sha256=prompt_sha256(payload.get("prompt")),
            requested=requested_outputs(Modality(self.modality), payload),
        )


class ApimartImageGenerationOperator(ApimartGenerationOperator):
    """
    Make pictures: one task instance is one paid generation.

    All arguments of :class:`ApimartGenerationOperator`, and:

    :param n: How many pictures. A text that holds a number becomes one. (templated)
    :param quality: For models that take one. (templated)
    :param mask_url: Public URL of a mask, or a file with ``upload_references``, for models that edit. (templated)
    """

    modality = "image"
    payload_fields = (*ApimartGenerationOperator.payload_fields, "n", "quality", "mask_url")
    template_fields = (*payload_fields, "parameters", "apimart_conn_id")

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
    Make a clip: one task instance is one paid generation.

    All arguments of :class:`ApimartGenerationOperator`, and:

    :param duration: Seconds. A text that holds a number becomes one. (templated)
    :param aspect_ratio: As the model takes it, such as ``16:9``. (templated)
    :param image_with_roles: Reference pictures with what they are for, as the model takes them, such as
        ``[{"url": ..., "role": "first_frame"}]``. (templated)
    """

    modality = "video"
    payload_fields = (*ApimartGenerationOperator.payload_fields, "duration", "aspect_ratio", "image_with_roles")
    template_fields = (*payload_fields, "parameters", "apimart_conn_id")

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
    :param duration: Seconds. A text that holds a number becomes one. Some models call it ``length``, which goes
        into ``parameters``. (templated)
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
    template_fields = (*payload_fields, "parameters", "apimart_conn_id")

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
