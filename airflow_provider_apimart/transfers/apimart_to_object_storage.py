"""Transfer of results into any object storage that Airflow knows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.arguments import count, optional_byte_size
from airflow_provider_apimart.exceptions import (
    ApimartDestinationError,
    ApimartEmptyResultError,
    ApimartInvalidRequestError,
    ApimartWatchedGenerationFailedError,
)
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.rendering import RendersText
from airflow_provider_apimart.results.download.limits import MAX_FILE_BYTES, MAX_TOTAL_BYTES
from airflow_provider_apimart.results.options import SaveOptions, run_values
from airflow_provider_apimart.results.storage.file_names import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.lineage.event_content import GenerationFacts
    from airflow_provider_apimart.results.output_saver import OutputSaver
    from airflow_provider_apimart.results.saver import ResultSaver
    from airflow_provider_apimart.transfers.selection import SelectedGeneration

FILES_KEY = "files"


class ApimartToObjectStorageOperator(EmitsLineage, LazyHook, RendersText):
    """
    Save the outputs of finished generations and return the URIs of the saved files.

    Result URLs expire about a day after the generation and can't be renewed. A file appears under its final name only
    when it is whole. A retry fetches the missing files only, at no cost. A file that can't be saved doesn't keep the
    others from being saved.

    A file never replaces another file: if its name is taken, a digest is added to it.

    The hosts of results are public and foreign. They are sent neither the API key nor anything else of the connection,
    and they are contacted at public addresses only. A file that is no image, video or audio by its content is refused.

    In XCom, ``files`` holds the details: a list of ``{"uri", "bytes", "sha256", "media_type", "generation_id",
    "index"}``. It is there too when the task fails because of other files.

    The events of assets among the task's ``outlets`` list the files: see :doc:`/assets`.

    .. seealso:: :doc:`/results`

    :param generation: The output of a generation operator or a sensor; the id of a finished generation, whose outputs
        are then requested; the manifest of a batch, or the path or URI of its ledger (``....jsonl``), of which
        everything that is completed and not saved is taken; or a list of any of these. Entries that are ``None``, as a
        skipped task leaves them, are left out with a warning. (templated)
    :param destination: Directory on this machine, or any URI of Airflow's object storage, such as
        ``s3://aws_default@bucket/images/``. For folders by day write ``{ds}/`` into ``filename``, which works in runs
        without a logical date too. (templated)
    :param filename: Template of the files' names without the extension, which follows from the content. Its fields are
        ``{generation_id}``, ``{index}`` (of the output, from zero), ``{id}`` (of a batch's item, otherwise the ``key``
        of the generation operator, otherwise the generation's id), ``{key}`` (the same), ``{kind}``, ``{model}``,
        ``{modality}``, ``{ds}``, ``{run_id}``, ``{dag_id}``, ``{task_id}`` and ``{map_index}``; a ``/`` makes folders.
        Characters that no file name should hold are replaced. (templated)
    :param concurrency: The number of files that are saved at once.
    :param allow_private_hosts: Hosts and networks that aren't public and may be fetched from, such as
        ``["cdn.internal", "198.18.0.0/15"]``; ``True`` for all of them. The connection's own host and port may always.
    :param max_file_bytes: Largest size of one file, ``None`` for no cap.
    :param max_total_bytes: Largest size of all files of the task together, ``None`` for no cap.
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to request outputs with. (templated)
    """

    template_fields: Sequence[str] = ("generation", "destination", "filename", "apimart_conn_id")
    optional_fields = ("generation",)
    ui_color = "#fde9d3"

    def __init__(
        self,
        *,
        generation: str
        | Mapping[str, Any]
        | os.PathLike[str]
        | ObjectStoragePath
        | Sequence[str | Mapping[str, Any] | None],
        destination: str | ObjectStoragePath,
        filename: str = DEFAULT_TEMPLATE,
        concurrency: int = 8,
        allow_private_hosts: bool | str | Sequence[str] = False,
        max_file_bytes: int | str | None = MAX_FILE_BYTES,
        max_total_bytes: int | str | None = MAX_TOTAL_BYTES,
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generation = generation
        self.destination = destination
        self.filename = filename
        self.concurrency = count(concurrency, "concurrency")
        self.allow_private_hosts = allow_private_hosts
        self.max_file_bytes = optional_byte_size(max_file_bytes, "max_file_bytes")
        self.max_total_bytes = optional_byte_size(max_total_bytes, "max_total_bytes")
        self.apimart_conn_id = apimart_conn_id

    def execute(self, context: Context) -> list[str]:
        """
        Save every output and return the URIs in the order of the generations.

        When files fail in several ways, the error is of a class that is retried, if one of them is.

        :raises ApimartWatchedGenerationFailedError: If the generation failed. Not retried.
        :raises ApimartInvalidRequestError: If an argument is invalid, or a generation isn't finished yet or made no
            files. Not retried.
        :raises ApimartResultExpiredError: If the URLs have expired, and APIMart has no newer ones. Not retried.
        :raises ApimartResultRefusedError: If a file may not be fetched or is too large. Not retried.
        :raises ApimartDownloadError: If a file couldn't be fetched whole, or is no image, video or audio.
        :raises ApimartDestinationError: If it couldn't be written to the destination.
        """
        from airflow_provider_apimart.page_index.generations import report_files
        from airflow_provider_apimart.results.output_saver import OutputSaver
        from airflow_provider_apimart.transfers.partial_failures import (
            raise_partial_failure,
            returning_errors,
            split_errors,
        )
        from airflow_provider_apimart.transfers.selection import selected_generations

        self.check_rendered()
        self._options.check()
        selected = selected_generations(self.generation)
        # Left from the right to the left: running downloads must be stopped before they are waited for.
        with ThreadPoolExecutor(self.concurrency, "apimart-save") as pool, self._saver(selected) as saver:
            found, unfinished = split_errors(pool.map(returning_errors(self._finished), selected))
            outputs = OutputSaver(saver, self.filename, run_values(context), self.hook.get_generation)
            wanted = [(each, index) for each in found for index in each.unsaved]
            saved, unsaved = split_errors(pool.map(returning_errors(partial(self._save, outputs)), wanted))
        context["ti"].xcom_push(key=FILES_KEY, value=saved)
        report_files(context, saved, str(self.destination))
        for failure in (failures := [*unfinished, *unsaved]):
            self.log.error("%s", failure)
        if saved or not failures:
            self.log.info("Saved %d of %d files to %s", len(saved), len(wanted), self.destination)
        raise_partial_failure(failures, len(saved))
        self.emit_lineage(context, _saved_generations(found, saved), destination=str(self.destination))
        return [file["uri"] for file in saved]

    @property
    def _options(self) -> SaveOptions:
        return SaveOptions(
            self.destination, self.filename, self.allow_private_hosts, self.max_file_bytes, self.max_total_bytes
        )

    def _saver(self, selected: Sequence[SelectedGeneration]) -> ResultSaver:
        try:
            return self._options.saver(self.hook.settings, self.hook.download_policy, self.concurrency)
        except ApimartDestinationError as error:
            error.generation_id = next((each.generation.generation_id for each in selected), None)
            raise

    def _finished(self, selected: SelectedGeneration) -> SelectedGeneration:
        """Return a generation with its outputs, which are requested where they aren't known."""
        generation = selected.generation
        if not generation.outputs and generation.generation_id is not None:
            asked = self.hook.get_generation(generation.generation_id, generation.modality)
            generation = asked.known_as(
                model=generation.model, key=generation.key, prompt_sha256=generation.prompt_sha256
            )
        _check_finished(generation)
        return replace(selected, generation=generation)

    def _save(self, outputs: OutputSaver, wanted: tuple[SelectedGeneration, int]) -> dict[str, Any]:
        from airflow_provider_apimart.results.output_saver import file_details

        (selected, index), generation = wanted, wanted[0].generation
        file = outputs.save(generation, index, selected.item_id)
        self.log.info("Saved %s", file.uri)
        return file_details(file, generation, index)


def _check_finished(generation: Generation) -> None:
    from airflow_provider_apimart.api.generation_status import GenerationStatus

    if generation.outputs:
        return
    match generation.status:
        case GenerationStatus.FAILED:
            reason = generation.failure.message if generation.failure else "no reason given"
            raise ApimartWatchedGenerationFailedError(
                f"{reason}: the generation failed, so there is nothing to save", generation_id=generation.generation_id
            )
        case GenerationStatus.RUNNING:
            raise ApimartInvalidRequestError(
                f"The generation is still {generation.status_word}, so there is nothing to save yet. Put an "
                "ApimartGenerationSensor before this task, or let the operator wait for completion",
                generation_id=generation.generation_id,
            )
    if generation.result:
        raise ApimartInvalidRequestError(
            "The generation's result holds no files, so there is nothing to save. Its text and other values are under "
            "'result' in the output of the generation operator",
            generation_id=generation.generation_id,
        )
    raise ApimartEmptyResultError(
        "The generation is completed, but APIMart's reply holds no output. A retry reads it again at no cost",
        generation_id=generation.generation_id,
    )


def _saved_generations(
    found: Iterable[SelectedGeneration], saved: Iterable[Mapping[str, Any]]
) -> Iterator[GenerationFacts]:
    """Go through the generations with their saved files, which come in the same order."""
    from airflow_provider_apimart.lineage.event_content import GenerationFacts, saved_file

    files = map(saved_file, saved)
    for each in found:
        yield GenerationFacts(each.generation, tuple(islice(files, len(each.unsaved))))
