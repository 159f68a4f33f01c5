"""Storage of Airflow's that a test replaces."""

from __future__ import annotations

import sys
from typing import Any

try:
    from airflow.sdk.io import attach
except ImportError:
    # Airflow 2.11.
    from airflow.io.store import attach


def attach_anew(protocol: str, filesystem: Any) -> None:
    """Let URIs of a scheme lead to a file system, whatever an earlier test has let them lead to."""
    sys.modules[attach.__module__]._STORE_CACHE.pop(protocol, None)
    attach(protocol=protocol, fs=filesystem)
