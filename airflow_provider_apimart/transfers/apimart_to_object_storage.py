"""Results of a generation into any object storage that Airflow knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_apimart.exceptions import (
    ApimartDestinationError,
    ApimartInvalidRequestError,
    ApimartWatchedGenerationFailedError,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.hooks.apimart import ApimartHook


class ApimartToObjectStorageOperator(BaseOperator):
    """
    Save the outputs of a finished generation and return the URIs of the saved files.

    Result URLs die about a day after the generation, and can't be renewed: save what you paid for. A retry fetches
    everything again and replaces what it finds under the same name. A file appears under its final name only when it
    is whole.

    The result's hosts are public and foreign: they are sent neither the API key nor anything else of the connection.

    :param generation: What a generation operator or sensor returned, or the id of a finished generation, whose
        outputs are then asked for. (templated)
    :param destination: Directory on this machine, or any URI of Airflow's object storage, such as
        ``s3://aws_default@bucket/pictures/{{ ds }}/``. Files are named ``<generation id>_<index>.<type>``. (templated)
    :param apimart_conn_id: The :ref:`connection <howto/connection:apimart>` to ask for outputs. (templated)
    """

    template_fields: Sequence[str] = ("generation", "destination", "apimart_conn_id")
    ui_color = "#fde9d3"

    def __init__(
        self,
        *,
        generation: str | Mapping[str, Any],
        destination: str | ObjectStoragePath,
        apimart_conn_id: str = "apimart_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.generation = generation
        self.destination = destination
        self.apimart_conn_id = apimart_conn_id

    @cached_property
    def hook(self) -> ApimartHook:
        """The connection to APIMart."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        return ApimartHook(self.apimart_conn_id)

    def execute(self, context: Context) -> list[str]:
        """
        Save every output and return where, in the order of the generation's ``urls``.

        :raises ApimartWatchedGenerationFailedError: If the generation failed. Not retried.
        :raises ApimartInvalidRequestError: If it isn't finished yet or made no files. Not retried.
        :raises ApimartResultExpiredError: If its URLs are over. Not retried.
        :raises ApimartDownloadError: If a file couldn't be fetched whole.
        :raises ApimartDestinationError: If it couldn't be written to the destination.
        """
        _check_destination(str(self.destination))
        generation = self._finished()
        try:
            saved = self._saved(generation)
        except (OSError, ValueError, ImportError, AttributeError) as error:
            raise _unwritable(generation, str(self.destination), error) from error
        for uri in saved:
            self.log.info("Saved %s", uri)
        return saved

    def _saved(self, generation: Generation) -> list[str]:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        from airflow_provider_apimart.transfers.download import ResultDownloader

        downloader = ResultDownloader(ObjectStoragePath(self.destination))
        return [
            downloader.save(output, f"{generation.generation_id or _digest(output.url)}_{index}")
            for index, output in enumerate(generation.outputs)
        ]

    def _finished(self) -> Generation:
        from airflow_provider_apimart.api.generation import named_generation

        generation = named_generation(self.generation)
        if not generation.outputs:
            generation = self._asked_for(generation)
        if not generation.status.is_final and not generation.outputs:
            raise ApimartInvalidRequestError(
                f"There is nothing to save yet: the generation is {generation.status_word}. Put an "
                "ApimartGenerationSensor before this task, or let the operator wait for completion",
                generation_id=generation.generation_id,
            )
        if not generation.outputs:
            raise ApimartInvalidRequestError(
                "There is nothing to save: the generation is completed and tells of no files",
                generation_id=generation.generation_id,
            )
        return generation

    def _asked_for(self, named: Generation) -> Generation:
        from airflow_provider_apimart.api.generation import GenerationStatus

        if named.generation_id is None:
            return named
        generation = self.hook.get_generation(named.generation_id, named.modality)
        if generation.status is GenerationStatus.FAILED:
            reason = generation.failure.message if generation.failure else "no reason given"
            raise ApimartWatchedGenerationFailedError(
                f"There is nothing to save, because the generation failed: {reason}",
                generation_id=generation.generation_id,
            )
        return generation


def _check_destination(destination: str) -> None:
    if "://" not in destination and not destination.startswith("/"):
        raise ApimartInvalidRequestError(
            f"The destination {destination!r} is relative, and a worker's working directory is no safe place. Write an "
            "absolute path or a URI such as s3://conn_id@bucket/folder/"
        )


def _unwritable(generation: Generation, destination: str, error: Exception) -> ApimartDestinationError:
    from airflow_provider_apimart.api.problem import root_reason

    # The storage libraries raise what they like: the innermost reason tells the most.
    return ApimartDestinationError(
        f"The generation is paid for, but couldn't be saved to {destination} ({root_reason(error)}). Its URLs live "
        f"until {generation.expires_at}: mend the destination and clear this task, which costs nothing",
        generation_id=generation.generation_id,
    )


def _digest(url: str) -> str:
    """Return a name for what has no id: two results must not overwrite each other."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]
