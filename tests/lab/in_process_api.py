"""Airflow's API for tasks, as a task that runs in this process talks to it. Airflow 2 has none."""

from __future__ import annotations

from functools import cache

from airflow.sdk.execution_time import supervisor

if not hasattr(supervisor.in_process_api_server, "cache_info"):
    # Below Airflow 3.3 each try would build the routes of the API anew.
    supervisor.in_process_api_server = cache(supervisor.in_process_api_server)


_served_here: list[object] = []


def build() -> None:
    """Build the routes of the API, which takes seconds, so that forks of this process have them."""
    client = supervisor.InProcessTestSupervisor._api_client()
    client.get("health")
    client.close()
    # Forks need a transport of their own, since a thread isn't forked. This one mustn't be collected either: with it
    # ends the API, of which forks have but the routes.
    api = supervisor.in_process_api_server()
    _served_here.append(api.transport)
    del api.transport


__all__ = ["build", "supervisor"]
