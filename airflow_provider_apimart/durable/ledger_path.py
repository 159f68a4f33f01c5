"""The directory of ledgers and records that ``[apimart] ledger_path`` names."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.exceptions import ApimartDestinationError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

log = logging.getLogger(__name__)

_ONE_MACHINE = ("LocalExecutor", "SequentialExecutor", "DebugExecutor")


def ledger_path() -> str:
    """Return the configured directory or URI; ``apimart`` in Airflow's home directory by default."""
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    return conf.get("apimart", "ledger_path", fallback=None) or f"file://{home}/apimart"


def storage_path(place: str | ObjectStoragePath) -> ObjectStoragePath:
    """
    Return a directory of Airflow's object storage.

    :raises ApimartDestinationError: If there can be no such directory: its protocol is unknown, or the library for it
        isn't installed.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        path = ObjectStoragePath(place)
        # Below Airflow 3.1 it is only here that an unknown kind of storage is noticed.
        _ = path.fs
        return path
    except Exception as error:
        # Any error: the storage libraries raise what they like.
        raise ApimartDestinationError(
            f"Nothing can be kept at {place} ({root_reason(error)}). Nothing was submitted. Check the path, and that "
            "the provider for its kind of storage is installed"
        ) from error


@cache
def report_place_of_records(place: str) -> None:
    """Log once where records lie, and warn where other machines can't reach them."""
    executor = conf.get("core", "executor", fallback="")
    log.info("Records of paid generations are kept at %s ([apimart] ledger_path)", place)
    if place.startswith(("/", "file:")) and executor and not any(each in executor for each in _ONE_MACHINE):
        log.warning(
            "%s is a directory of this machine, but the executor is %s. A retry on another machine can't read the "
            "record of what was paid. Set [apimart] ledger_path to a place that all workers reach",
            place,
            executor,
        )
