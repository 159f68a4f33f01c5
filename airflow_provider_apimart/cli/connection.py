"""Hook of the connection that a command names."""

from __future__ import annotations

import os

from airflow_provider_apimart.hooks.apimart import ApimartHook


def command_hook(conn_id: str) -> ApimartHook:
    """
    Return the hook of a connection, wherever Airflow keeps it.

    :param conn_id: The connection's id.
    """
    # As Airflow's own commands do: without it, connections of its database are not found outside of tasks.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    return ApimartHook(conn_id)
