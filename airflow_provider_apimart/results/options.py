"""Options of saving that transfers, batches and generation operators share, and the names of files in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_apimart.exceptions import ApimartInvalidRequestError
from airflow_provider_apimart.results.download.limits import MAX_FILE_BYTES, MAX_TOTAL_BYTES
from airflow_provider_apimart.results.storage.file_names import DEFAULT_TEMPLATE, FileNames
from airflow_provider_apimart.results.storage.paths import is_relative

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_apimart.api.retry import RetryPolicy
    from airflow_provider_apimart.api.settings import ClientSettings
    from airflow_provider_apimart.results.saver import ResultSaver

# The map index of a task that isn't mapped is the harder one to format.
_STAND_IN = {"index": 0, "map_index": -1}


@dataclass(frozen=True)
class SaveOptions:
    """
    Options of saving. The arguments of operators have the same names and meanings.

    :param destination: Directory on this machine, or any URI of Airflow's object storage.
    :param filename: Template of the files' names without the extension, which follows from the content. Its fields are
        ``{generation_id}``, ``{index}`` (of the output, from zero), ``{id}`` (of a batch's item, otherwise the ``key``
        of the generation operator, otherwise the generation's id), ``{key}`` (the same), ``{kind}``, ``{model}``,
        ``{modality}``, ``{ds}``, ``{run_id}``, ``{dag_id}``, ``{task_id}`` and ``{map_index}``; a ``/`` makes folders.
        A file never replaces another file: if its name is taken, a digest is added to it.
    :param allow_private_hosts: Hosts and networks that aren't public and may be fetched from, such as
        ``["cdn.internal", "198.18.0.0/15"]``; ``True`` for all of them.
    :param max_file_bytes: Largest size of one file, ``None`` for no cap.
    :param max_total_bytes: Largest size of all files together that one task saves, ``None`` for no cap.
    """

    destination: str | ObjectStoragePath
    filename: str = DEFAULT_TEMPLATE
    allow_private_hosts: bool | str | Iterable[str] = False
    max_file_bytes: int | None = MAX_FILE_BYTES
    max_total_bytes: int | None = MAX_TOTAL_BYTES

    def check(self) -> None:
        """
        Check everything that can be checked without the network, before anything is paid for.

        :raises ApimartInvalidRequestError: If an option is invalid.
        """
        from airflow_provider_apimart.results.download.address_policy import private_hosts

        check_destination(self.destination)
        names = FileNames(self.filename)
        names.stem({**dict.fromkeys(names.fields, "x"), **_STAND_IN})
        private_hosts(self.allow_private_hosts)
        for name in ("max_file_bytes", "max_total_bytes"):
            _check_bytes(name, getattr(self, name))

    def saver(self, settings: ClientSettings, policy: RetryPolicy, threads: int) -> ResultSaver:
        """
        Return a saver, to be closed by the caller. The destination is tried by a write.

        :param settings: The connection's settings, of which neither key nor headers are sent to hosts of results.
        :param policy: Bounds the requests for one file.
        :param threads: The number of threads that save at once.
        :raises ApimartInvalidRequestError: If an option is invalid.
        :raises ApimartDestinationError: If the destination can't be written.
        """
        from airflow_provider_apimart.results.download.client import network_of
        from airflow_provider_apimart.results.download.limits import Limits
        from airflow_provider_apimart.results.saver import ResultSaver

        self.check()
        return ResultSaver(
            self.destination,
            network=network_of(settings, allow_private_hosts=self.allow_private_hosts),
            limits=Limits(max_file_bytes=self.max_file_bytes, max_total_bytes=self.max_total_bytes, policy=policy),
            threads=threads,
        )


def check_destination(destination: str | ObjectStoragePath) -> None:
    """
    Check that a destination is absolute.

    :raises ApimartInvalidRequestError: If it is relative or empty.
    """
    written = str(destination)
    if is_relative(written):
        raise ApimartInvalidRequestError(
            f"The destination {written!r} is relative, and the working directory differs between workers. Write an "
            "absolute path or a URI such as s3://conn_id@bucket/folder/. Nothing was sent or fetched"
        )


def _check_bytes(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ApimartInvalidRequestError(
            f"Invalid {name}: {value!r} is not a whole number of bytes above 0. Write None for no cap. Nothing was "
            "sent or fetched"
        )


def run_values(context: Context) -> dict[str, object]:
    """
    Return the values of a run for the fields of file names.

    ``ds`` is the day of the run's logical date. A run without one, such as a manual or an asset-triggered run, has the
    day after which it was due to start.
    """
    ti = context["ti"]
    values = {name: getattr(ti, name, None) for name in ("dag_id", "task_id", "map_index")}
    run_id = context.get("run_id") or getattr(ti, "run_id", None)
    return {**values, "run_id": run_id, "ds": context.get("ds") or _day_of(context)}


def _day_of(context: Context) -> str | None:
    run = context.get("dag_run")
    readers: tuple[Callable[[], object], ...] = (
        lambda: getattr(run, "run_after", None),
        lambda: getattr(run, "start_date", None),
    )
    moment = next(filter(None, (read() for read in readers)), None)
    return f"{moment:%Y-%m-%d}" if moment else None
