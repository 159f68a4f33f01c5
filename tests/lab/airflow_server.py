"""A whole Airflow (api-server, scheduler, DAG processor, triggerer), as ``airflow standalone`` starts it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from tests.lab.fork_server import PROJECT, airflow_environment

_LONGEST_START = 300.0
_LONGEST_WAIT = 300.0
_LONGEST_STOP = 30.0
_LINES_TOLD = 60
# Airflow's 32 would do no more on a few cores, but fight for SQLite's lock until its API answers no longer.
_TASKS_AT_ONCE = 8


class AirflowServer:
    """
    An Airflow of its own, everyone in it an administrator, with the example DAGs.

    :param home: An empty directory for its database and logs.
    :param connection: The connection to APIMart as JSON.
    :param settings: Further configuration, as environment variables by name.
    """

    def __init__(self, home: Path, connection: str, *, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.home = home
        self.log_file = home / "standalone.log"
        self._connection = connection
        self._settings = settings
        self._port = free_port()
        self.base_url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._until(self._is_healthy, _LONGEST_START)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def trigger(self, dag_id: str, conf: Mapping[str, Any] = MappingProxyType({})) -> str:
        """Start a run of a DAG, as soon as Airflow has read it, and return the run's id."""
        self._until(lambda: self._unpause(dag_id), _LONGEST_WAIT)
        wish = {"logical_date": None, "conf": dict(conf)}
        return str(self._ask(f"/api/v2/dags/{dag_id}/dagRuns", wish)["dag_run_id"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Return the state of every task of a run."""
        instances = self._ask(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {instance["task_id"]: instance["state"] for instance in instances}

    def wait_for(self, dag_id: str, run_id: str, **states: str) -> dict[str, str | None]:
        """
        Wait until the named tasks of a run are in the given states, and return the states of all.

        :raises AssertionError: If that takes too long, or if another task has failed.
        """
        found: dict[str, str | None] = {}

        def arrived() -> bool:
            found.update(self.states(dag_id, run_id))
            assert "failed" not in found.values() or "failed" in states.values(), f"{run_id}: {found}"
            return states.items() <= found.items()

        self._until(arrived, _LONGEST_WAIT)
        return found

    def _unpause(self, dag_id: str) -> bool:
        return not self._ask(f"/api/v2/dags/{dag_id}", {"is_paused": False}, method="PATCH")["is_paused"]

    def _environment(self) -> Mapping[str, str]:
        return airflow_environment(self.home, PROJECT / "example_dags") | {
            # `airflow standalone` starts its parts by the command's name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            # A DAG with a schedule would run by itself, and the sandbox count what no test has asked for.
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__PARALLELISM": str(_TASKS_AT_ONCE),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.base_url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": self.base_url,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW_CONN_APIMART_DEFAULT": self._connection,
            **self._settings,
        }

    def _is_healthy(self) -> bool:
        parts = self._ask("/api/v2/monitor/health")
        return all(parts[part]["status"] == "healthy" for part in ("scheduler", "triggerer", "dag_processor"))

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if path.startswith("/api/v2/dags"):
            headers["Authorization"] = f"Bearer {self._token()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path.replace("+", "%2B"), data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def _token(self) -> str:
        with urllib.request.urlopen(f"{self.base_url}/auth/token", timeout=30) as reply:
            return str(json.load(reply)["access_token"])

    def _until(self, is_so: Callable[[], bool], longest: float) -> None:
        give_up_at = time.monotonic() + longest
        while not self._is(is_so):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(f"Airflow didn't get there:\n{self._account()}")
            time.sleep(0.5)

    def _account(self) -> str:
        """Tell how Airflow's parts are, since ``airflow standalone`` goes on without one that died, and its log."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        told = [line for line in lines if "[http.access]" not in line]
        try:
            health: object = self._ask("/api/v2/monitor/health")
        except OSError as error:
            health = error
        return "\n".join([str(health), *told[-_LINES_TOLD:]])

    def _is(self, is_so: Callable[[], bool]) -> bool:
        try:
            return is_so()
        except OSError:
            # Not up yet, or too busy to answer.
            return False

    def _stop(self) -> None:
        assert self._process is not None
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LONGEST_STOP)
        # Whatever part outlived the command that started it.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
