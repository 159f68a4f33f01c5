"""Airflow's function that lets a scheme of URIs lead to a file system, wherever a version keeps it."""

from __future__ import annotations

try:
    from airflow.sdk.io import attach
except ImportError:
    # Airflow 2.11.
    from airflow.io.store import attach

__all__ = ["attach"]
