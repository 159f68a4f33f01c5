"""Operator for batches: thousands of generations in one task instance."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.providers.common.compat.sdk import conf

from airflow_provider_apimart.api.arguments import (
    count,
    count_or_share,
    is_template,
    one_of,
    optional_byte_size,
    optional_dollars,
    optional_seconds,
    some_of,
    switch,
)
from airflow_provider_apimart.compat.resumption import must_restart
from airflow_provider_apimart.compat.xcom import returnable
from airflow_provider_apimart.exceptions import ApimartArgumentError, error_from_json
from airflow_provider_apimart.library.options import ReuseOptions, check_reuse
from airflow_provider_apimart.lineage.emitter import EmitsLineage
from airflow_provider_apimart.links.gallery import ApimartGalleryLink, LinksGallery
from airflow_provider_apimart.operators.requests import ReadsRequests
from airflow_provider_apimart.results.download.limits import MAX_FILE_BYTES, MAX_TOTAL_BYTES
from airflow_provider_apimart.results.options import SaveOptions, check_destination, run_values

if TYPE_CHECKING:
    from decimal import Decimal

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.settings import ClientSettings
    from airflow_provider_apimart.batch.exports.export import Exports
    from airflow_provider_apimart.batch.interruption import Interruption
    from airflow_provider_apimart.batch.plan import BatchPlan
    from airflow_provider_apimart.batch.reuse import BatchLibrary
    from airflow_provider_apimart.batch.run import Save
    from airflow_provider_apimart.batch.task_try import TryResult
    from airflow_provider_apimart.durable.task_identity import TaskIdentity
    from airflow_provider_apimart.results.output_saver import OutputSaver

_EXPORTS = ("huggingface", "parquet")


class ApimartBatchGenerationOperator(LinksGallery, EmitsLineage, ReadsRequests):
    """
    Generate thousands of images, videos or pieces of music in one task instance, each of which is paid for once.

    Each item has its own record and idempotency key. After a crash, a retry or a clear at any moment, the batch resumes
    waiting for running items, pays for no item twice and repeats no completed one. A retry submits failed items again.
    Items that moderation refused are submitted again only after a clear.

    The ledger is a JSON Lines file with one line for each item (``id``, ``status``, ``generation_id``, ``reason``,
    ``outputs``, ``files`` with SHA-256, ``cost``, times). It is written to ``destination``, or without one to the
    directory ``[apimart] ledger_path`` of Airflow's configuration: by default ``apimart`` in Airflow's home directory;
    set an object storage if workers don't share a disk. The gallery, a page with the results, is written beside it, and
    the task has a link to it. The names of both files begin with ``<dag_id>.<task_id>.<run_id>.<digest>`` and end in
    ``.ledger.jsonl`` and ``.gallery.html``.

    The task returns a manifest: the counts by status, ``cost``, the URIs ``ledger`` and ``gallery``, and ``exports``
    with the URI of each export. If the task fails, the manifest is in XCom under the key ``manifest``.

    .. seealso:: :doc:`/operators/batch`

    All arguments of :class:`~airflow_provider_apimart.operators.requests.ReadsRequests`, which describe the items, and:

    :param destination: Directory on this machine, or any URI of Airflow's object storage, to which the outputs of an
        item are saved as soon as it is completed. ``None`` saves nothing: the temporary URLs are in the ledger.
        (templated)
    :param filename: Template of the files' names without the extension, which follows from the content. ``{id}`` is
        the item's id; the other fields are those of
        :class:`~airflow_provider_apimart.transfers.apimart_to_object_storage.ApimartToObjectStorageOperator`.
        (templated)
    :param allow_private_hosts: Hosts and networks that aren't public and may be fetched from, such as
        ``["cdn.internal", "198.18.0.0/15"]``; ``True`` for all of them. The connection's own host and port may always.
    :param max_file_bytes: Largest size of one file, ``None`` for no cap.
    :param max_total_bytes: Largest size of all files that one try saves, ``None`` for no cap.
    :param max_in_flight: The number of generations that run at most at once. Submits slow down after a 429.
    :param item_retries: The number of times that an item that failed at APIMart is submitted again within a try of the
        task. Each attempt has its own idempotency key; failed ones are refunded. Items that were refused, also by
        moderation, are not submitted again.
    :param max_failures: The number of items that may be missing although the task succeeds: a count, or as a float a
        share of the items. Items that moderation refused don't count.
    :param max_cost: US dollars that the batch costs at most, earlier tries included. Items are reserved with their
        quotes. Items without a quote are made one at a time, and exceed it by no more than the price of one of them.
        See :doc:`/cost`. (templated)
    :param exports: Data sets to write beside the ledger when the batch ends, also when items are missing:
        ``"huggingface"`` (``metadata.jsonl``, with which Hugging Face's ``datasets`` reads the destination) and
        ``"parquet"`` (the ledger with typed columns, which needs the extra ``parquet``).
    :param reuse_within: Seconds or a timedelta: a request that was completed and saved within this time, by whatever
        task, isn't made again; its files are reused. ``None`` reuses nothing. It needs a ``destination`` and a library.
        See :doc:`/library`.
    :param library: Directory or URI of the library, by default ``[apimart] library_path`` of Airflow's configuration.
        Everything that the batch makes and saves is entered there. (templated)
    :param copy_reused: Whether reused files are copied into the destination, under the names that they would have if
        they were made. If not, ledger and manifest name the files where they are.
    :param deferrable: Whether to wait in the triggerer, without a worker slot. The task resumes to submit and to save
        whenever half of the running generations have ended.
    :param poll_interval: Seconds or a timedelta between two status reads of a generation; ``None`` adapts to the run
        time.
    :param timeout: Seconds or a timedelta that one try waits at most for each generation, ``None`` for no limit. A
        generation that takes longer keeps running, and a retry resumes waiting for it.
    :param on_unknown_outcome: As for
        :class:`~airflow_provider_apimart.operators.generation.ApimartImageGenerationOperator`, for each item.
    """

    template_fields: Sequence[str] = (*ReadsRequests.template_fields, "destination", "filename", "max_cost", "library")
    ui_color = "#d3e3fd"
    operator_extra_links = (ApimartGalleryLink(),)
    _interruption: Interruption | None = None

    def __init__(
        self,
        *,
        destination: str | ObjectStoragePath | None = None,
        filename: str = "{id}_{generation_id}_{index}",
        allow_private_hosts: bool | str | Sequence[str] = False,
        max_file_bytes: int | str | None = MAX_FILE_BYTES,
        max_total_bytes: int | str | None = MAX_TOTAL_BYTES,
        max_in_flight: int = 100,
        item_retries: int = 2,
        max_failures: float | str | Decimal = 0,
        max_cost: float | str | Decimal | None = None,
        exports: Sequence[Literal["huggingface", "parquet"]] = (),
        reuse_within: float | timedelta | None = None,
        library: str | ObjectStoragePath | None = None,
        copy_reused: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | str | timedelta | None = None,
        timeout: float | str | timedelta | None = timedelta(hours=1),
        on_unknown_outcome: Literal["retry_same_key", "fail"] = "retry_same_key",
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.destination = destination
        self.filename = filename
        self.allow_private_hosts = allow_private_hosts
        self.max_file_bytes = optional_byte_size(max_file_bytes, "max_file_bytes")
        self.max_total_bytes = optional_byte_size(max_total_bytes, "max_total_bytes")
        self.max_in_flight = count(max_in_flight, "max_in_flight")
        self.item_retries = count(item_retries, "item_retries", least=0)
        self.max_failures = count_or_share(max_failures, "max_failures")
        self.max_cost = max_cost if is_template(max_cost) else optional_dollars(max_cost, "max_cost")
        self.exports = _exports(exports, destination)
        self.reuse_within = optional_seconds(reuse_within, "reuse_within", exclusive=True)
        self.library = library
        self.copy_reused = switch(copy_reused, "copy_reused")
        check_reuse(destination, reuse_within=reuse_within, library=library)
        self.deferrable = switch(deferrable, "deferrable")
        self.poll_interval = optional_seconds(poll_interval, "poll_interval", exclusive=True)
        self.timeout = optional_seconds(timeout, "timeout")
        self.on_unknown_outcome = one_of(on_unknown_outcome, "on_unknown_outcome", ("retry_same_key", "fail"))

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Generate all items and return the manifest.

        :raises ApimartInvalidRequestError: Before anything is sent, with all invalid items, or with all items that
            contradict the descriptions of their models and ``check="refuse"``. Not retried.
        :raises ApimartDestinationError: If the destination can't be written. Nothing more is submitted.
        :raises ApimartLibraryError: If the library can't be read and ``max_cost`` is set. Nothing was submitted.
        :raises ApimartBatchIncompleteError: If more items are missing than ``max_failures`` allows. A retry continues.
        :raises ApimartBatchRefusedError: If the missing items were refused or exceed ``max_cost``. Not retried.
        :raises ApimartBalanceError: If the balance is insufficient. Not retried; clear the task to continue.
        """
        return self._attempt(context, started_at=time.time())

    def execute_complete(self, context: Context, event: Any, destination: str | None = None) -> dict[str, Any]:
        """
        Continue after the wait in the triggerer.

        :param event: See :class:`~airflow_provider_apimart.triggers.batch.ApimartBatchTrigger`.
        :param destination: The destination with which the try began: its record is there. A template may render
            differently by now.
        """
        if must_restart(event, context):
            return self._attempt(context, started_at=time.time())
        if self.destination is not None and destination is not None:
            self.destination = destination
        details: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
        if details.get("error"):
            raise error_from_json(details["error"])
        # After an unreadable event, the status of all running generations is read.
        finished = frozenset(details["finished"]) if "finished" in details else None
        waited = frozenset(details.get("waited") or ()) | (finished or frozenset())
        return self._attempt(context, details.get("started_at") or time.time(), finished, waited)

    def on_kill(self) -> None:
        """Stop submitting, and log that running generations continue: APIMart cannot cancel them."""
        if self._interruption:
            self._interruption.interrupt()
        self.log.warning(
            "The batch's running generations continue and are charged, although the task was killed. A retry resumes "
            "waiting for them"
        )

    def _attempt(
        self,
        context: Context,
        started_at: float,
        finished: frozenset[str] | None = None,
        waited: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:
        from airflow_provider_apimart.batch.interruption import Interruption
        from airflow_provider_apimart.batch.task_try import run_try

        self.link_page(context)
        self._interruption = Interruption()
        plan = replace(self._plan(context, started_at), finished=finished, waited=waited)
        exports = self._exports_of(plan.task)
        if finished is None:
            self.log.info("Items of the batch: %d", len(plan.items))
            exports.check()
        with self._saving(context) as (save, library):
            end = run_try(
                plan, self.hook.settings, self._folder, save, self._interruption, self._current_settings, library
            )
        if end.parked:
            self._defer(context, end, started_at)
        return self._ended(context, end, exports)

    def _ended(self, context: Context, end: TryResult, exports: Exports) -> dict[str, Any]:
        """Return the manifest, or raise if the batch has failed. The exports are written in both cases."""
        from airflow_provider_apimart.batch.summary import MaxFailures, made, raise_if_incomplete

        manifest = {**end.manifest, "exports": {}}
        try:
            manifest["exports"] = exports.write([*end.entries, *end.left_behind])
        finally:
            context["ti"].xcom_push(key="manifest", value=manifest)
            self.link(context, manifest["gallery"])
            raise_if_incomplete(end.counts, end.entries, MaxFailures(self.max_failures), end.stopped_by)
        destination = None if self.destination is None else self._folder
        self.emit_lineage(context, made(end.entries), destination=destination, ledger=manifest["ledger"])
        return returnable(manifest)

    def _exports_of(self, task: TaskIdentity) -> Exports:
        from airflow_provider_apimart.batch.exports.export import Exports
        from airflow_provider_apimart.batch.exports.export_folder import ExportFolder
        from airflow_provider_apimart.durable.task_identity import file_name_of

        return Exports(self.exports, ExportFolder(self._folder, file_name_of(task)))

    def _current_settings(self) -> ClientSettings:
        """Return what the connection says now; the hook keeps what it said when the try began."""
        from airflow_provider_apimart.hooks.apimart import ApimartHook

        return ApimartHook(self.apimart_conn_id).settings

    def _plan(self, context: Context, started_at: float) -> BatchPlan:
        from airflow_provider_apimart.api.poll_schedule import PollSchedule
        from airflow_provider_apimart.batch.plan import BatchPlan
        from airflow_provider_apimart.checks.check import Check
        from airflow_provider_apimart.durable.decision import OnUnknownOutcome
        from airflow_provider_apimart.durable.task_identity import task_identity

        return BatchPlan(
            items=self.items(),
            task=task_identity(context["ti"]),
            max_in_flight=self.max_in_flight,
            schedule=PollSchedule(self.poll_interval),
            wait_seconds=self.timeout,
            item_retries=self.item_retries,
            max_cost=optional_dollars(self.max_cost, "max_cost"),
            on_unknown_outcome=OnUnknownOutcome(self.on_unknown_outcome),
            check=Check(self.check),
            parks=self.deferrable,
            started_at=started_at,
            task_try=context["ti"].try_number,
            submit_policy=self.hook.submit_policy,
            status_policy=self.hook.status_policy,
            upload_policy=self.hook.upload_policy,
            price_policy=self.hook.price_policy,
        )

    @property
    def _folder(self) -> str:
        """The directory of the ledger and the gallery."""
        if self.destination is None:
            from airflow_provider_apimart.durable.ledger_path import ledger_path

            return ledger_path()
        destination = str(self.destination)
        check_destination(destination)
        return destination

    @contextmanager
    def _saving(self, context: Context) -> Iterator[tuple[Save | None, BatchLibrary | None]]:
        if self.destination is None:
            yield None, None
            return
        from airflow_provider_apimart.batch.run import SAVED_AT_ONCE
        from airflow_provider_apimart.results.output_saver import OutputSaver

        with self._save_options.saver(self.hook.settings, self.hook.download_policy, SAVED_AT_ONCE) as saver:
            outputs = OutputSaver(saver, self.filename, run_values(context), self.hook.get_generation)
            yield (
                lambda item, generation: [file.to_json() for file in outputs.save_all(generation, item.id)],
                self._library(context, outputs),
            )

    def _library(self, context: Context, outputs: OutputSaver) -> BatchLibrary | None:
        from airflow_provider_apimart.batch.reuse import BatchLibrary
        from airflow_provider_apimart.durable.task_identity import task_identity

        library = ReuseOptions(self.reuse_within, self.library, self.copy_reused).open(
            is_required=self.max_cost is not None
        )
        if library is None:
            return None
        return BatchLibrary(
            library,
            task_identity(context["ti"]),
            copy=lambda item, generation, files: outputs.copy_all(generation, files, item.id),
        )

    @property
    def _save_options(self) -> SaveOptions:
        return SaveOptions(
            self._folder, self.filename, self.allow_private_hosts, self.max_file_bytes, self.max_total_bytes
        )

    def _defer(self, context: Context, end: TryResult, started_at: float) -> NoReturn:
        from airflow_provider_apimart.triggers.batch import trigger_for

        self.log.info("Waiting in the triggerer for running generations: %d", len(end.parked))
        self.defer(
            trigger=trigger_for(
                end.parked,
                enough=len(end.parked) if end.is_submitted else max(1, len(end.parked) // 2),
                started_at=started_at,
                deadline=max((wait.deadline for wait in end.parked if wait.deadline), default=None),
                apimart_conn_id=self.apimart_conn_id,
                try_number=context["ti"].try_number,
            ),
            method_name="execute_complete",
            kwargs={"destination": None if self.destination is None else str(self.destination)},
        )


def _exports(value: Any, destination: object) -> tuple[str, ...]:
    names = some_of(value, "exports", _EXPORTS)
    if "huggingface" in names and destination is None:
        raise ApimartArgumentError(
            "Invalid argument: the export 'huggingface' needs a destination, whose files it describes. Nothing was sent"
        )
    return names
