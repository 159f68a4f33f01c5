"""Mixin of operators that save the outputs of one generation, or reuse a kept result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.arguments import optional_name
from airflow_provider_apimart.hooks.lazy_hook import LazyHook
from airflow_provider_apimart.library.options import ReuseOptions
from airflow_provider_apimart.results.options import SaveOptions, run_values

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context, ObjectStoragePath

    from airflow_provider_apimart.api.generation import Generation
    from airflow_provider_apimart.durable.paid_request import PaidRequest
    from airflow_provider_apimart.durable.record import Record
    from airflow_provider_apimart.durable.uploads import UploadRegistry
    from airflow_provider_apimart.library.kept_result import KeptResult
    from airflow_provider_apimart.library.task_library import TaskLibrary
    from airflow_provider_apimart.results.output_saver import OutputSaver
    from airflow_provider_apimart.results.storage.receipts import SavedFile

    _Operator = BaseOperator
else:
    _Operator = object

_SAVED_AT_ONCE = 4


class SavesOutputs(LazyHook, _Operator):
    """
    Mixin of operators that save the outputs of their generation where ``destination`` is set.

    An operator has the arguments of :class:`~airflow_provider_apimart.results.options.SaveOptions` and
    :class:`~airflow_provider_apimart.library.options.ReuseOptions`, and ``key``.
    """

    destination: str | ObjectStoragePath | None
    filename: str
    allow_private_hosts: bool | str | Sequence[str]
    reuse_within: float | None
    library: str | ObjectStoragePath | None
    copy_reused: bool
    max_cost: Any
    key: Any
    #: The kept result that serves this try, ``None`` if it has a generation of its own.
    kept: KeptResult | None = None

    def open_library(self) -> TaskLibrary | None:
        """
        Return the library, ``None`` if there is none.

        :raises ApimartArgumentError: If results are to be reused and no library is named.
        """
        options = ReuseOptions(self.reuse_within, self.library, self.copy_reused)
        return options.open(is_required=self.max_cost is not None)

    def find_kept(self, context: Context, request: PaidRequest, record: Record, library: TaskLibrary | None) -> None:
        """
        Try the destination by a write, before anything is paid for, and set :attr:`kept`.

        :raises ApimartDestinationError: If the destination can't be written.
        :raises ApimartLibraryError: If the library can't be read and ``max_cost`` is set.
        """
        self.kept = None
        if self.destination is None:
            return
        from airflow_provider_apimart.library.kept_result import kept_result

        key = optional_name(self.key, "key")
        with self._outputs(context) as outputs:
            self.kept = kept_result(
                request,
                record,
                context["ti"].max_tries,
                library,
                lambda generation, files: outputs.copy_all(generation.known_as(key=key), files),
            )

    def save_outputs(self, context: Context, generation: Generation, record: Record) -> list[dict[str, Any]] | None:
        """
        Save the outputs of a completed generation, and enter it into the library.

        :return: The files in their XCom form, ``None`` if nothing is to be saved.
        :raises ApimartError: If an output couldn't be saved. A retry saves it at no cost.
        """
        if self.destination is None:
            return None
        from airflow_provider_apimart.results.output_saver import file_details

        saved = self.kept.files if self.kept else self._saved_and_entered(context, generation, record)
        for file in saved:
            self.log.info("%s %s", "Reused" if self.kept else "Saved", file.uri)
        return [file_details(file, generation, index) for index, file in enumerate(saved)]

    def _saved_and_entered(self, context: Context, generation: Generation, record: Record) -> Sequence[SavedFile]:
        with self._outputs(context) as outputs:
            saved = outputs.save_all(generation)
        if library := ReuseOptions(library=self.library).open():
            from airflow_provider_apimart.library.kept_result import enter_generation

            enter_generation(library, context["ti"], record, generation, saved)
        return saved

    @contextmanager
    def _outputs(self, context: Context) -> Iterator[OutputSaver]:
        from airflow_provider_apimart.results.output_saver import OutputSaver

        options = SaveOptions(str(self.destination), self.filename, self.allow_private_hosts)
        with options.saver(self.hook.settings, self.hook.download_policy, _SAVED_AT_ONCE) as saver:
            yield OutputSaver(saver, self.filename, run_values(context), self.hook.get_generation)


def noted_uploads(record: Record, library: TaskLibrary | None) -> UploadRegistry | None:
    """Return the uploads in a record, whose contents the library learns; ``None`` without a library."""
    if library is None:
        return None
    from airflow_provider_apimart.durable.uploads import RecordedUploads
    from airflow_provider_apimart.library.reference_content import NotedUploads

    return NotedUploads(RecordedUploads(record), library.note_upload)
