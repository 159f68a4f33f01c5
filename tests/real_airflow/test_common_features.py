"""Features of every operator, in Airflow's own ``airflow dags test``."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_apimart.events.metrics import COMPLETED, DOLLARS, REFUSED, SECONDS, SUBMITTED
from airflow_provider_apimart.sandbox import Sandbox
from tests.lab.airflow_command import Airflow, AirflowCommands

DAGS = Path(__file__).parent / "dags"


@pytest.fixture
def airflow(commands: AirflowCommands, tmp_path: Path) -> Airflow:
    return commands.airflow(tmp_path / "airflow", DAGS)


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(1.0)
        yield server


def run(airflow: Airflow, dag_id: str, sandbox: Sandbox, statsd: socket.socket) -> str:
    """Run a DAG in a process that has read nothing of the settings of Airflow's Stats, which reads them once."""
    environment = airflow.environment | {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        "AIRFLOW_CONN_APIMART_OTHER": sandbox.connection_json(),
    }
    command = [sys.executable, "-m", "airflow", "dags", "test", dag_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def counted(statsd: socket.socket) -> defaultdict[str, float]:
    """Return what arrived of the provider's metrics, timings as their number."""
    totals: defaultdict[str, float] = defaultdict(float)
    try:
        while True:
            for line in statsd.recv(65536).decode().splitlines():
                if found := re.match(r"airflow\.(apimart[^,:]*)[^:]*:([\d.]+)\|(\w+)", line):
                    name, value, kind = found.groups()
                    totals[name] += 1 if kind == "ms" else float(value)
    except TimeoutError:
        return totals


def test_a_prompt_lies_in_a_file_and_default_arguments_reach_every_argument(
    airflow: Airflow, sandbox: Sandbox, statsd: socket.socket
) -> None:
    said = run(airflow, "prompt_file", sandbox, statsd)
    assert sandbox.billed == 1, said[-4000:]
    (request,) = (request for request in sandbox.requests if request.route == "submit")
    assert re.fullmatch(r"A cat on .+, woodcut", request.payload["prompt"])
    sent = {name: value for name, value in request.payload.items() if name != "prompt"}
    assert sent == {"model": "gemini-3-pro-image-preview", "size": "16:9", "n": 1, "resolution": "1K"}
    counts = counted(statsd)
    assert counts[SUBMITTED] == counts[COMPLETED] == counts[SECONDS] == 1
    assert counts[DOLLARS] == float(sandbox.dollars)


def test_a_refusal_is_counted_as_one(airflow: Airflow, sandbox: Sandbox, statsd: socket.socket) -> None:
    said = run(airflow, "refused", sandbox, statsd)
    counts = counted(statsd)
    assert "ApimartModerationError" in said
    assert counts[SUBMITTED] == counts[REFUSED] == 1
    assert COMPLETED not in counts
