"""What people expect of any operator, in Airflow's own ``airflow dags test``."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_apimart.metrics import COMPLETED, DOLLARS, REFUSED, SECONDS, SUBMITTED
from airflow_provider_apimart.sandbox import Sandbox

DAGS = Path(__file__).parent / "dags"


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(1.0)
        yield server


def run(dag_id: str, sandbox: Sandbox, home: Path, statsd: socket.socket) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.getsockname()[1]),
        "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        "AIRFLOW_CONN_APIMART_OTHER": sandbox.connection_json(),
    }
    said = ""
    for command in (["db", "migrate"], ["dags", "test", dag_id]):
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command], env=environment, capture_output=True, text=True, check=False
        )
        said += done.stdout + done.stderr
    return said


def counted(statsd: socket.socket) -> Counter[str]:
    """Return what arrived of the provider's metrics, timings as their number."""
    totals: Counter[str] = Counter()
    try:
        while True:
            for line in statsd.recv(65536).decode().splitlines():
                if found := re.match(r"airflow\.(apimart[^,:]*)[^:]*:([\d.]+)\|(\w+)", line):
                    name, value, kind = found.groups()
                    totals[name] += 1 if kind == "ms" else float(value)
    except TimeoutError:
        return totals


def test_a_prompt_lies_in_a_file_and_default_arguments_reach_every_argument(
    sandbox: Sandbox, tmp_path: Path, statsd: socket.socket
) -> None:
    said = run("prompt_file", sandbox, tmp_path, statsd)
    assert sandbox.billed == 1, said[-4000:]
    (request,) = (request for request in sandbox.requests if request.route == "submit")
    assert re.fullmatch(r"A cat on .+, woodcut", request.payload["prompt"])
    sent = {name: value for name, value in request.payload.items() if name != "prompt"}
    assert sent == {"model": "gemini-3-pro-image-preview", "size": "16:9", "n": 1, "resolution": "1K"}
    counts = counted(statsd)
    assert counts[SUBMITTED] == counts[COMPLETED] == counts[SECONDS] == 1
    assert counts[DOLLARS] == float(sandbox.dollars)


def test_a_refusal_is_counted_as_one(sandbox: Sandbox, tmp_path: Path, statsd: socket.socket) -> None:
    said = run("refused", sandbox, tmp_path, statsd)
    counts = counted(statsd)
    assert "ApimartModerationError" in said
    assert counts[SUBMITTED] == counts[REFUSED] == 1
    assert COMPLETED not in counts
