"""Results of generations into any object storage that Airflow knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_apimart.exceptions import (
    ApimartDestinationError,
    ApimartError,
    ApimartInvalidRequestError,
    ApimartWatchedGenerationFailedError,
)
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.results.download.limits import MAX_FILE_BYTES, MAX_TOTAL_BYTES
from airflow_provider_apimart.results.storage.file_names import DEFAULT_TEMPLATE, FileNames

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation, Output
    from airflow_provider_apimart.hooks.apimart import ApimartHook
    from airflow_provider_apimart.lineage.facts import GenerationFacts
    from airflow_provider_apimart.results.saver import ResultSaver
    from airflow_provider_apimart.transfers.selection import SelectedFile, SelectedGeneration

FILES_KEY = "files"


class ApimartToObjectStorageOperator(EmitsLineage, BaseOperator):
    """
    Save the outputs of finished generations and return the URIs of the saved files.

    Result URLs die about a day after the generation, and can't be renewed: save what you paid for. A file appears
    under its final name only when it is whole. A retry fetches what is missing and nothing else; that costs nothing.
    What can't be saved keeps nothing else from being saved.

    The hosts of results are public and foreign. They are sent neither the API key nor anything else of the connection,
    are asked at public addresses only, and what is no picture, clip or sound by its content is refused.

    In XCom, ``files`` holds the details: a list of ``{"uri", "bytes", "sha256", "media_type", "generation_id",
    "index"}``. It is there too when the task fails because of other files.

    The events of assets among the task's ``outlets`` tell of the files: see :doc:`/assets`.

    .. seealso:: :doc:`/results`

    :param generation: What a generation operator or a sensor returned; the id of a finished generation, whose outputs
        are then asked for; the manifest that a batch returned, or the URI of its ledger (``....jsonl``), of which all
        that is completed and not saved is taken; or a list of any of these. (templated)
    :param destination: Directory on this machine, or any URI of Airflow's object storage, such as
        ``s3://aws_default@bucket/pictures/{{ ds }}/``. (templated)
    :param filename: Template of the files' names without their ending, which follows from the content. Its fields are
        ``{generation_id}``, ``{index}`` (of the output, from zero), ``{id}`` (of a batch's item, otherwise the
        generation's), ``{kind}``, ``{model}``, ``{modality}``, ``{ds}``, ``{run_id}``, ``{dag_id}``, ``{task_id}`` and
        ``{map_index}``; a ``/`` makes folders. What a value must not hold in a name is replaced. (templated)
    :param concurrency: How many files to save at once.
    :param allow_private_hosts: Whether results may be fetched from addresses that aren't public. The connection's own
        host and port may serve them in any case.
    :param max_file_bytes: Size of one file, ``None`` for no cap.
    :param max_total_bytes: Size of all files of the task together, ``None`` for no cap.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to ask for outputs. (templated)
    """

    template_fields: Sequence[str] = ("generation", "destination", "filename", "apimart_conn_id")
    ui_color = "#fde9d3"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        destination: str | ObjectStoragePath,
        filename: str = DEFAULT_TEMPLATE,
        concurrency: int = 8,
        allow_private_hosts: bool = False,
        max_file_bytes: int | None = MAX_FILE_BYTES,
        max_total_bytes: int | None = MAX_TOTAL_BYTES,
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generation = generation
        self.destination = destination
        self.filename = filename
        self.concurrency = concurrency
        self.allow_private_hosts = allow_private_hosts
        self.max_file_bytes = max_file_bytes
        self.max_total_bytes = max_total_bytes
        self.apimart_conn_id = apimart_conn_id

    @cached_property
    def hook(self) -> ApimartHook:
        """The connection to APIMart."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        return ApimartHook(self.apimart_conn_id)

    def execute(self, context: Context) -> list[str]:
        """
        Save every output and return where, in the order in which they were given.

        When files fail in several ways, the error is of a kind that a retry may mend, if one of them is.

        :raises ApimartWatchedGenerationFailedError: If the generation failed. Not retried.
        :raises ApimartInvalidRequestError: If the arguments can't be right, or a generation isn't finished yet or made
            no files. Not retried.
        :raises ApimartResultExpiredError: If the URLs are over, and APIMart has no newer ones. Not retried.
        :raises ApimartResultRefusedError: If a file may not be fetched or is too large. Not retried.
        :raises ApimartDownloadError: If a file couldn't be fetched whole, or is no picture, clip or sound.
        :raises ApimartDestinationError: If it couldn't be written to the destination.
        """
        from airflow_provider_apimart.transfers.partial_failures import (
            raise_partial_failure,
            returning_errors,
            split_errors,
        )
        from airflow_provider_apimart.transfers.selection import selected_generations

        _check_destination(str(self.destination))
        _check_concurrency(self.concurrency)
        names = FileNames(self.filename)
        selected = list(selected_generations(self.generation))
        # Left from the right to the left: what still runs must be stopped before it is waited for.
        with ThreadPoolExecutor(self.concurrency, "apimart-save") as pool, self._saver(selected) as saver:
            found, unfinished = split_errors(pool.map(returning_errors(self._finished), selected))
            files = [file for each in found for file in each.files()]
            stems = self._stems(files, names, context)
            saved, unsaved = split_errors(pool.map(returning_errors(partial(self._save, saver)), files, stems))
        context["ti"].xcom_push(key=FILES_KEY, value=saved)
        self.log.info("Saved %d of %d files to %s", len(saved), len(files), self.destination)
        for failure in (failures := [*unfinished, *unsaved]):
            self.log.error("%s", failure)
        raise_partial_failure(failures, len(saved))
        self.emit_lineage(context, _saved_generations(found, saved), destination=str(self.destination))
        return [file["uri"] for file in saved]

    def _saver(self, selected: Sequence[SelectedGeneration]) -> ResultSaver:
        from airflow_provider_apimart.results.download.client import network_of
        from airflow_provider_apimart.results.download.limits import Limits
        from airflow_provider_apimart.results.saver import ResultSaver

        try:
            return ResultSaver(
                self.destination,
                network=network_of(self.hook.settings, allow_private_hosts=self.allow_private_hosts),
                limits=Limits(
                    max_file_bytes=self.max_file_bytes,
                    max_total_bytes=self.max_total_bytes,
                    policy=self.hook.download_policy,
                ),
                threads=self.concurrency,
            )
        except ApimartDestinationError as error:
            error.generation_id = next((each.generation.generation_id for each in selected), None)
            raise

    def _finished(self, selected: SelectedGeneration) -> SelectedGeneration:
        """Return a generation with its outputs, which are asked for where they aren't known."""
        generation = selected.generation
        if not generation.outputs and generation.generation_id is not None:
            asked = self.hook.get_generation(generation.generation_id, generation.modality)
            generation = asked.known_as(model=generation.model, prompt_sha256=generation.prompt_sha256)
        _check_finished(generation)
        return replace(selected, generation=generation)

    def _stems(self, files: Iterable[SelectedFile], names: FileNames, context: Context) -> list[str]:
        from airflow_provider_apimart.results.storage.file_names import check_distinct

        run = _run_values(names.fields, context)
        stems = [names.stem(file.name_values() | run) for file in files]
        check_distinct(stems, self.filename)
        return stems

    def _save(self, saver: ResultSaver, file: SelectedFile, stem: str) -> dict[str, Any]:
        generation = file.of.generation
        saved = saver.save(
            file.output,
            stem,
            generation_id=generation.generation_id,
            owner=file.owner,
            ask_again=partial(self._asked_again, file),
        )
        self.log.info("Saved %s", saved.uri)
        return {**saved.to_json(), "generation_id": generation.generation_id, "index": file.index}

    def _asked_again(self, file: SelectedFile) -> Output | None:
        """Return an output as APIMart tells of it now: its record may hold a newer URL."""
        generation = file.of.generation
        if generation.generation_id is None:
            return None
        with suppress(ApimartError):
            outputs = self.hook.get_generation(generation.generation_id, generation.modality).outputs
            return outputs[file.index] if file.index < len(outputs) else None
        return None


def _check_destination(destination: str) -> None:
    if "://" not in destination and not destination.startswith("/"):
        raise ApimartInvalidRequestError(
            f"The destination {destination!r} is relative, and a worker's working directory is no safe place. Write an "
            "absolute path or a URI such as s3://conn_id@bucket/folder/"
        )


def _check_concurrency(concurrency: int) -> None:
    if concurrency < 1:
        raise ApimartInvalidRequestError(
            f"With a concurrency of {concurrency}, nothing would ever be saved; write 1 or more"
        )


def _check_finished(generation: Generation) -> None:
    from airflow_provider_apimart.api.generation import GenerationStatus

    if generation.outputs:
        return
    if generation.status is GenerationStatus.FAILED:
        reason = generation.failure.message if generation.failure else "no reason given"
        raise ApimartWatchedGenerationFailedError(
            f"There is nothing to save, because the generation failed: {reason}",
            generation_id=generation.generation_id,
        )
    told = "There is nothing to save: the generation is completed and tells of no files"
    if generation.status is GenerationStatus.RUNNING:
        told = (
            f"There is nothing to save yet: the generation is {generation.status_word}. Put an ApimartGenerationSensor "
            "before this task, or let the operator wait for completion"
        )
    raise ApimartInvalidRequestError(told, generation_id=generation.generation_id)


def _saved_generations(
    found: Iterable[SelectedGeneration], saved: Iterable[Mapping[str, Any]]
) -> Iterator[GenerationFacts]:
    """Go through the generations with their saved files, which come in the same order."""
    from airflow_provider_apimart.lineage.facts import GenerationFacts, saved_file

    files = map(saved_file, saved)
    for each in found:
        yield GenerationFacts(each.generation, tuple(islice(files, sum(1 for _ in each.files()))))


def _run_values(fields: Iterable[str], context: Context) -> dict[str, object]:
    """Return what is known of the run for those fields of a file's name that the template uses."""
    readers: dict[str, Callable[[], object]] = {
        "ds": lambda: context.get("ds") or f"{context['dag_run'].run_after:%Y-%m-%d}",
        "run_id": lambda: context["run_id"],
        "dag_id": lambda: context["ti"].dag_id,
        "task_id": lambda: context["ti"].task_id,
        "map_index": lambda: context["ti"].map_index,
    }
    return {field: read() for field, read in readers.items() if field in fields}
