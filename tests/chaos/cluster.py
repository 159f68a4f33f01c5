"""An Airflow as teams run it: workers, triggerers, scheduler, DAG processor, API server, on PostgreSQL and Redis."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from tests.chaos.postgres import Postgres
from tests.chaos.processes import Processes
from tests.lab.airflow_server import free_port
from tests.lab.fork_server import bare_environment

DAGS = Path(__file__).parent / "dags"

#: The arguments of ``airflow`` by the part's name.
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "api-server": ("api-server",),
        "dag-processor": ("dag-processor",),
        "scheduler": ("scheduler", "--skip-serve-logs"),
        "triggerer-1": ("triggerer", "--skip-serve-logs"),
        "triggerer-2": ("triggerer", "--skip-serve-logs"),
        "worker-1": ("celery", "worker", "--skip-serve-logs", "--celery-hostname", "worker-1"),
        "worker-2": ("celery", "worker", "--skip-serve-logs", "--celery-hostname", "worker-2"),
    }
)

#: What the parts say that take tasks, once they have started.
STARTED: Mapping[str, str] = MappingProxyType(
    {
        "scheduler": "Starting the scheduler",
        "triggerer-1": "Starting the triggerer",
        "triggerer-2": "Starting the triggerer",
        "worker-1": "worker-1 ready.",
        "worker-2": "worker-2 ready.",
    }
)

#: What makes Airflow find out in seconds, not in minutes, that somebody has died; and what two cores can carry.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "10",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "API__WORKERS": "1",
        "CELERY__WORKER_CONCURRENCY": "4",
        "CELERY__SYNC_PARALLELISM": "1",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        # For what a dead worker had taken from the queue. The broker's visibility_timeout is no way to solve that: it
        # gives running tasks to another worker, whose failure to start them again Airflow takes for theirs.
        "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        # A task that was queued again and again isn't failed for it.
        "SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "100",
        "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    }
)


class Cluster:
    """
    The parts of one Airflow, which run inside a ``with`` block.

    :param home: Directory of its configuration.
    :param logs: Directory of the tasks' logs.
    :param processes: Where they run.
    :param environment: Variables for the DAGs, connections included.
    :param python: The interpreter whose Airflow it is.
    """

    def __init__(
        self,
        home: Path,
        logs: Path,
        processes: Processes,
        postgres: Postgres,
        redis_port: int,
        environment: Mapping[str, str],
        python: str = sys.executable,
    ) -> None:
        self._processes = processes
        self._python = python
        self._started_at: dict[str, float] = {}
        self._up_at: dict[str, float] = {}
        settings = {**SETTINGS, **_addresses(postgres, redis_port), **_secrets()}
        airflow = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        self._environment = {**bare_environment(), **airflow, **environment}
        self._environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs)}

    def __enter__(self) -> Self:
        """Prepare the database and start all parts."""
        self._processes.run("migration", self._airflow("db", "migrate"), self._environment)
        for name in PARTS:
            self._start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill all parts: of their Airflow nothing is kept."""
        for name in PARTS:
            self._processes.kill(name)

    def note_starts(self) -> None:
        """Note which parts have started by now."""
        for name, words in STARTED.items():
            if name not in self._up_at and self._processes.has_said(name, words):
                self._up_at[name] = time.monotonic()

    def has_settled(self, name: str) -> bool:
        """Whether a part has been up for as long as it took to start; what isn't among the parts always has."""
        if name not in STARTED:
            return True
        up_at = self._up_at.get(name)
        return up_at is not None and time.monotonic() - up_at >= up_at - self._started_at[name]

    def kill(self, name: str) -> None:
        """Kill a part with SIGKILL, and start it again."""
        self._processes.kill(name)
        self._start(name)

    def restart_exited(self) -> list[str]:
        """Start again what has ended by itself, as a supervisor of services does, and return its names."""
        exited = [name for name in self._processes.exited() if name in PARTS]
        for name in exited:
            self.kill(name)
        return exited

    def _start(self, name: str) -> None:
        self._started_at[name] = time.monotonic()
        self._up_at.pop(name, None)
        self._processes.start(name, self._airflow(*PARTS[name]), self._environment)

    def _airflow(self, *arguments: str) -> tuple[str, ...]:
        return (self._python, "-m", "airflow", *arguments)


def _addresses(postgres: Postgres, redis_port: int) -> Mapping[str, str]:
    api_port = free_port()
    return {
        "CORE__DAGS_FOLDER": str(DAGS),
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api_port}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{postgres.address}",
        "CELERY__BROKER_URL": f"redis://127.0.0.1:{redis_port}/0",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(api_port),
        "API__BASE_URL": f"http://127.0.0.1:{api_port}",
    }


def _secrets() -> Mapping[str, str]:
    return {"API__SECRET_KEY": secrets.token_hex(), "API_AUTH__JWT_SECRET": secrets.token_hex(64)}
