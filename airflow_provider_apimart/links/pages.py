"""Addresses of the pages that the provider adds to Airflow's interface."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_apimart.compat.versions import HAS_NO_PAGES

PREFIX = "/apimart"
"""Path of the pages below that of Airflow's interface."""


def base_path() -> str:
    """Return the path of ``[api] base_url``, without a slash at its end."""
    return urlsplit(_base_url()).path.rstrip("/")


def gallery_of_task(ti: Any) -> str | None:
    """
    Return the address of the gallery of a task instance, ``None`` where Airflow has no such page.

    Without ``[api] base_url`` it is a path, which a browser completes.

    :param ti: ``context["ti"]``.
    """
    if HAS_NO_PAGES.is_present:
        return None
    said = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id}
    if ti.map_index is not None and ti.map_index >= 0:
        said["map_index"] = ti.map_index
    return f"{_base_url().rstrip('/')}{PREFIX}/gallery?{urlencode(said)}"


def _base_url() -> str:
    from airflow.configuration import conf

    return conf.get("api", "base_url", fallback="") or ""
