"""
APIMart on your own machine: an HTTP server that speaks its contract strictly, costs nothing, and counts.

.. code-block:: python

    with Sandbox(SandboxSettings(seconds=0.2)) as sandbox:
        sandbox.inject(Fault("lost_answer", on="submit"))
        ...
        assert sandbox.billed == 1

On the command line: ``python -m airflow_provider_apimart.sandbox``. In tests:
``pytest_plugins = ["airflow_provider_apimart.sandbox.pytest_plugin"]``.
"""

from __future__ import annotations

from airflow_provider_apimart.sandbox.faults import Fault
from airflow_provider_apimart.sandbox.generations import GenerationView
from airflow_provider_apimart.sandbox.journal import RequestView
from airflow_provider_apimart.sandbox.sandbox import Sandbox
from airflow_provider_apimart.sandbox.settings import ApiKey, SandboxSettings

__all__ = ["ApiKey", "Fault", "GenerationView", "RequestView", "Sandbox", "SandboxSettings"]
