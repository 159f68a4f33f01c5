"""What a task can return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow import __version__ as airflow_version

# Airflow 3.0 answers an XCom of None with 422 (apache/airflow#55062), and every key that a task returns is one.
_REFUSES_NONE = airflow_version.startswith("3.0.")


def returnable(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task returns under several keys. On Airflow 3.0, keys whose value is ``None`` are missing."""
    return {key: value for key, value in outputs.items() if value is not None or not _REFUSES_NONE}
