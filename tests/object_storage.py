"""Storage of Airflow's that a test replaces."""

from __future__ import annotations

import sys
from typing import Any

try:
    from airflow.sdk.io import attach
except ImportError:
    # Airflow 2.11.
    from airflow.io.store import attach


_attached: set[str] = set()


def attach_anew(protocol: str, filesystem: Any) -> None:
    """Let URIs of a scheme lead to a file system until the test ends."""
    _detach(protocol)
    attach(protocol=protocol, fs=filesystem)
    _attached.add(protocol)


def detach_all() -> None:
    """Let the next test find no file system that this one has attached."""
    while _attached:
        _detach(_attached.pop())


def _detach(protocol: str) -> None:
    sys.modules[attach.__module__]._STORE_CACHE.pop(protocol, None)
