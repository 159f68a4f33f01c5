"""Savers that give up soon, and ways to look at what they left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_apimart.api.generation import Output, OutputKind
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.results.download.address_policy import AddressPolicy, private_hosts
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.saver import ResultSaver, SaveRequest
from airflow_provider_apimart.results.storage.receipts import SavedFile

POLICY = RetryPolicy(max_requests=3, seconds=5.0, rate_limited_seconds=5.0, first=0.01, longest=0.05)


@contextmanager
def saver_to(
    folder: Path, origin: str | None = None, *, private: bool | list[str] = False, **limits: Any
) -> Iterator[ResultSaver]:
    """
    Return a saver.

    :param origin: The one private host from which it may fetch.
    :param private: Its ``allow_private_hosts``.
    """
    network = Network(address_policy=AddressPolicy(origin, private_hosts(private)))
    with ResultSaver(str(folder), network=network, limits=Limits(**{"policy": POLICY, **limits})) as saver:
        yield saver


def save(saver: ResultSaver, url: str, stem: str, owner: str | None = None, **details: Any) -> SavedFile:
    """Save what is at a URL; by default its name is its owner's too."""
    return saver.save(SaveRequest(output(url), stem, stem if owner is None else owner, **details))


def output(url: str, **details: Any) -> Output:
    """Return an output that is at a URL."""
    return Output(url, OutputKind.IMAGE, **details)


def files_below(folder: Path, *, receipts: bool = False) -> list[str]:
    """Return the names of all files below a folder, hidden ones included."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return [name for name in names if receipts or not re.fullmatch(r"\.apimart/\w+\.json", name)]
