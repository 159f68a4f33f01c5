"""What a process has learnt of an installation by talking to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_apimart.api.run_times import RunTimes
from airflow_provider_apimart.api.status import StatusRoutes


@dataclass(frozen=True)
class Experience:
    """
    What all waits of a connection in a process have learnt together.

    :param routes: Which of the status routes answers.
    :param run_times: How long each model took lately.
    """

    routes: StatusRoutes = field(default_factory=StatusRoutes)
    run_times: RunTimes = field(default_factory=RunTimes)
