"""The directory of ledgers and records that ``[apimart] ledger_path`` names."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path

from airflow.providers.common.compat.sdk import conf

from airflow_provider_apimart.exceptions import ApimartConfigurationError
from airflow_provider_apimart.results.storage.paths import is_relative

log = logging.getLogger(__name__)

#: Ending of the name of a batch's ledger.
LEDGER_SUFFIX = ".ledger.jsonl"

_ONE_MACHINE = ("LocalExecutor", "SequentialExecutor", "DebugExecutor")


def ledger_path() -> str:
    """
    Return the configured directory or URI; ``apimart`` in Airflow's home directory by default.

    :raises ApimartConfigurationError: If it is relative: another worker wouldn't find what was paid for.
    """
    home = Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().absolute()
    place = conf.get("apimart", "ledger_path", fallback=None) or f"file://{home}/apimart"
    if is_relative(place):
        raise ApimartConfigurationError(
            f"[apimart] ledger_path {place!r} is relative, and the working directory differs between workers. Nothing "
            "was sent. Set it to an absolute path or a URI such as s3://conn_id@bucket/folder/"
        )
    return str(place)


@cache
def report_place_of_records(place: str) -> None:
    """Log once where records are, and warn where other machines can't reach them."""
    executor = conf.get("core", "executor", fallback="")
    log.info("Records of paid generations are kept at %s ([apimart] ledger_path)", place)
    if place.startswith(("/", "file:")) and executor and not any(each in executor for each in _ONE_MACHINE):
        log.warning(
            "%s is a directory of this machine, but the executor is %s. A retry on another machine can't read the "
            "record of what was paid. Set [apimart] ledger_path to a place that all workers reach",
            place,
            executor,
        )
