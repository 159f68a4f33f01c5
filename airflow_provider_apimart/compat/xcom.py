"""Values that a task can return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_apimart.compat.versions import REFUSES_NONE_IN_XCOM


def returnable(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mapping without the keys whose value is ``None``, where Airflow refuses such an XCom."""
    refused = REFUSES_NONE_IN_XCOM.is_present
    return {key: value for key, value in outputs.items() if value is not None or not refused}
