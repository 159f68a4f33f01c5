"""Connections that commands use."""

from __future__ import annotations

import os

from airflow_provider_apimart.hooks.apimart import ApimartHook


def command_hook(conn_id: str) -> ApimartHook:
    """
    Return the hook of a connection, wherever Airflow keeps it.

    :param conn_id: The connection's id.
    """
    find_connections()
    return ApimartHook(conn_id)


def find_connections() -> None:
    """Let this process find the connections of Airflow's database, as Airflow's own commands do."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
