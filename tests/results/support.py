"""Savers that give up soon, and ways to look at what they left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_apimart.api.generation import Output, OutputKind
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.results.download.address_policy import AddressPolicy
from airflow_provider_apimart.results.download.client import Network
from airflow_provider_apimart.results.download.limits import Limits
from airflow_provider_apimart.results.saver import ResultSaver

POLICY = RetryPolicy(tries=3, seconds=5.0, rate_limited_seconds=5.0, first=0.01, longest=0.05)


@contextmanager
def saver_to(folder: Path, origin: str | None = None, *, private: bool = False, **limits: Any) -> Iterator[ResultSaver]:
    """
    Return a saver.

    :param origin: The one private host from which it may fetch.
    :param private: Whether it may from all of them.
    """
    network = Network(reach=AddressPolicy(origin, private))
    with ResultSaver(folder, network=network, limits=Limits(**{"policy": POLICY, **limits})) as saver:
        yield saver


def output(url: str, **details: Any) -> Output:
    """Return an output that lies at a URL."""
    return Output(url, OutputKind.IMAGE, **details)


def files_below(folder: Path) -> list[str]:
    """Return the names of all files below a folder, hidden ones included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
