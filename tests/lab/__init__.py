"""
A real Airflow for tests: its own scheduler functions, task runner, state store and triggers on SQLite.

Each try of a task runs in a process of its own, which can be killed at a chosen point, and is then recovered as the
scheduler does it.
"""

from tests.lab.airflow_lab import AirflowLab, Run, Step
from tests.lab.fork_server import Template

__all__ = ["AirflowLab", "Run", "Step", "Template"]
