"""
A local HTTP server that implements the APIMart API, costs nothing, and counts what it would have billed.

Read first :mod:`.sandbox` (start, control and inspect a sandbox from Python). Then ``service/`` (settings, decisions
and state, no I/O), ``media/`` (files) and ``http/`` (routes); each may import only from those before it.

.. code-block:: python

    with Sandbox(SandboxSettings(seconds=0.2)) as sandbox:
        sandbox.inject(Fault("lost_answer", on="submit"))
        ...
        assert sandbox.billed == 1

On the command line: ``python -m airflow_provider_apimart.sandbox``. In tests:
``pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]``.
"""

from __future__ import annotations

from airflow_provider_apimart.sandbox.http.request_log import RequestView
from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.service.faults import Fault
from airflow_provider_apimart.sandbox.service.generations import GenerationView
from airflow_provider_apimart.sandbox.service.settings import ApiKey, SandboxSettings

__all__ = ["ApiKey", "Fault", "GenerationView", "RequestView", "Sandbox", "SandboxSettings"]
