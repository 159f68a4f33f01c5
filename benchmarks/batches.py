"""
A batch in a real Airflow, beside a bare asyncio script and the same work mapped, against the same sandbox.

``python -m benchmarks.batches [--short]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.browser.airflow_server import AirflowServer

BENCHMARKS = Path(__file__).parent
RUN_SECONDS = 5.0


@dataclass(frozen=True)
class Size:
    """
    How much is measured.

    :param items: Of a batch, and of the bare script.
    :param mapped: Task instances of the mapped run, a part of the same work.
    :param large: Items of the batch whose memory is measured.
    """

    items: int
    in_flight: int
    mapped: int
    large: int
    rounds: int


LONG = Size(items=1000, in_flight=200, mapped=60, large=10_000, rounds=3)
SHORT = Size(items=300, in_flight=100, mapped=20, large=10_000, rounds=1)


class BenchAirflow(AirflowServer):
    """An Airflow with the DAGs of the benchmarks."""

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> tuple[float, float]:
        """
        Run a DAG to its end.

        :return: Seconds from the start of the first ``generate`` task to the end of the last one, and seconds from
            the request to start the run to its end.
        """
        self._until(lambda: self._exists(f"/api/v2/dags/{dag_id}"), 180.0)
        asked_at = time.monotonic()
        run = self._ask(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf)})
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run['dag_run_id']}"
        self._until(lambda: self._ask(path)["state"] in ("success", "failed"), 3600.0)
        whole = time.monotonic() - asked_at
        state = self._ask(path)["state"]
        if state != "success":
            raise RuntimeError(f"the run of {dag_id} has {state}:\n{self.log_file.read_text()[-4000:]}")
        tasks = self._ask(f"{path}/taskInstances?limit=1000")["task_instances"]
        made = [each for each in tasks if each["task_id"] == "generate"]
        began = min(datetime.fromisoformat(each["start_date"]) for each in made)
        ended = max(datetime.fromisoformat(each["end_date"]) for each in made)
        return (ended - began).total_seconds(), whole

    def _environment(self) -> Mapping[str, str]:
        return {**super()._environment(), "AIRFLOW__CORE__DAGS_FOLDER": str(BENCHMARKS / "dags")}


def bare(base_url: str, size: Size, seconds: float) -> float:
    """Return the seconds that the bare script takes."""
    command = [sys.executable, "-m", "benchmarks.bare_script", base_url, "--seconds", str(seconds)]
    command += ["--items", str(size.items), "--in-flight", str(size.in_flight)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=BENCHMARKS.parent)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def throughput(size: Size) -> None:
    """Print what a batch gets through, beside the others."""
    settings = SandboxSettings(seconds=RUN_SECONDS, balance=Decimal(1_000_000))
    figures: dict[str, list[float]] = {}
    with (
        Sandbox(settings) as sandbox,
        tempfile.TemporaryDirectory() as home,
        BenchAirflow(Path(home), sandbox.connection_json()) as airflow,
    ):
        wish = {"items": size.items, "in_flight": size.in_flight}
        for _ in range(size.rounds):
            before = sandbox.billed
            task, _whole = airflow.run("bench_batch", wish)
            assert sandbox.billed - before == size.items, "a batch must be billed once an item"
            figures.setdefault("batch operator, a task in Airflow", []).append(size.items / task)
            for seconds in (2.0, 0.5):
                name = f"bare asyncio script, a look every {seconds:g} s"
                figures.setdefault(name, []).append(size.items / bare(sandbox.base_url, size, seconds))
        span, _whole = airflow.run("bench_mapped", {"items": size.mapped})
        figures[f"mapped and deferred ({size.mapped} of them measured)"] = [size.mapped / span]
    print(
        f"\n{size.items:,} generations of {RUN_SECONDS:g} s +- 30 %, {size.in_flight} in flight; medians of "
        f"{size.rounds} rounds in turn\n{'':<50}{'a second':>10}{'of the fastest script':>24}"
    )
    medians = {name: statistics.median(values) for name, values in figures.items()}
    limit = max(value for name, value in medians.items() if name.startswith("bare"))
    for name, value in medians.items():
        print(f"{name:<50}{value:>10.1f}{value / limit:>23.0%}")


_LARGE = """
import json, resource, sys, tempfile, time
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from types import SimpleNamespace
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
items = [{"id": f"item-{number}", "prompt": f"Cat {number}, " + "in the style of a woodcut, " * 8} for number in range(COUNT)]
operator = ApimartBatchGenerationOperator(
    task_id="generate", model="gemini-2.5-flash-image-preview", requests=items, max_in_flight=500
)
ti = SimpleNamespace(dag_id="bench", run_id=str(time.time()), task_id="generate", map_index=-1, max_tries=0)
ti.xcom_push = lambda key, value: None
began = time.monotonic()
manifest = operator.execute({"ti": ti})
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"before": before, "after": after, "seconds": time.monotonic() - began, **manifest}))
"""


def memory(size: Size) -> None:
    """Print the peak memory of a process that runs a large batch."""
    import os

    settings = SandboxSettings(seconds=RUN_SECONDS, balance=Decimal(1_000_000))
    with Sandbox(settings) as sandbox, tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        }
        done = subprocess.run(
            [sys.executable, "-c", _LARGE.replace("COUNT", str(size.large))],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:])
        told = json.loads(done.stdout.splitlines()[-1])
        assert sandbox.billed == told["completed"] == size.large
    print(
        f"\n{size.large:,} items, 500 in flight: {told['after']:.0f} MB at the peak ({told['before']:.0f} MB before, "
        f"Airflow's import), in {told['seconds']:.0f} s"
    )


def main() -> None:
    """Print all figures."""
    described = argparse.ArgumentParser()
    described.add_argument("--short", action="store_true", help="one round of less")
    size = SHORT if described.parse_args().short else LONG
    memory(size)
    throughput(size)


if __name__ == "__main__":
    main()
