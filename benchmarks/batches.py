"""
Speed of a batch in a real Airflow, compared with a bare asyncio script and with mapped tasks, on the same sandbox.

``python -m benchmarks.batches [--short]``
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.lab.airflow_server import AirflowServer

BENCHMARKS = Path(__file__).parent
RUN_SECONDS = 10.0
LONGEST_RUN = 600.0
BATCH = "batch operator, in a task of a real Airflow"
WHOLE = "... with the task's own start and end, which are Airflow's"
BARE = {"bare asyncio script, a poll every 2 s": 2.0, "bare asyncio script, a poll every 0.5 s": 0.5}
MAPPED = "mapped and deferred, from the first submit to the last"


@dataclass(frozen=True)
class Size:
    """
    Size of a measurement.

    :param items: Items of a batch and of the bare script.
    :param mapped: Task instances of the mapped run, a part of the same work.
    :param large: Items of the batch whose memory is measured.
    """

    items: int
    in_flight: int
    mapped: int
    large: int
    rounds: int


LONG = Size(items=1000, in_flight=200, mapped=60, large=10_000, rounds=3)
SHORT = Size(items=150, in_flight=50, mapped=10, large=1_000, rounds=1)


class BenchAirflow(AirflowServer):
    """An Airflow with the DAGs of the benchmarks."""

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> float:
        """Run a DAG, and return the seconds from the start of its first ``generate`` task to the end of the last."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{self.trigger(dag_id, conf)}"
        self._until(lambda: self._ask(path)["state"] in ("success", "failed"), LONGEST_RUN)
        state = self._ask(path)["state"]
        if state != "success":
            raise RuntimeError(f"the run of {dag_id} has {state}:\n{self._account()}")
        tasks = self._ask(f"{path}/taskInstances?limit=1000")["task_instances"]
        made = [each for each in tasks if each["task_id"] == "generate"]
        began = min(datetime.fromisoformat(each["start_date"]) for each in made)
        ended = max(datetime.fromisoformat(each["end_date"]) for each in made)
        return (ended - began).total_seconds()

    def _environment(self) -> Mapping[str, str]:
        return {**super()._environment(), "AIRFLOW__CORE__DAGS_FOLDER": str(BENCHMARKS / "dags")}


def bare(base_url: str, size: Size, seconds: float) -> None:
    """Run the bare script to its end."""
    command = [sys.executable, "-m", "benchmarks.bare_script", base_url, "--seconds", str(seconds)]
    command += ["--items", str(size.items), "--in-flight", str(size.in_flight)]
    subprocess.run(command, capture_output=True, text=True, check=True, cwd=BENCHMARKS.parent)


def seen_by(sandbox: Sandbox, work: Callable[[], object], items: int) -> float:
    """Do some work, and return the generations a second from its first request to its last, as the service saw it."""
    sandbox.reset()
    work()
    assert sandbox.billed == items, "every item must be billed, and once"
    times = [request.time for request in sandbox.requests]
    return items / (times[-1] - times[0])


def throughput(size: Size) -> None:
    """Print what a batch gets through, beside the others."""
    settings = SandboxSettings(seconds=RUN_SECONDS, balance=Decimal(1_000_000))
    figures: dict[str, list[float]] = {name: [] for name in (BATCH, WHOLE, *BARE, MAPPED)}
    with (
        Sandbox(settings) as sandbox,
        tempfile.TemporaryDirectory() as home,
        BenchAirflow(Path(home), sandbox.connection_json()) as airflow,
    ):
        tasks: list[float] = []
        wish = {"items": size.items, "in_flight": size.in_flight}
        for _ in range(size.rounds):
            batch = seen_by(sandbox, lambda: tasks.append(airflow.run("bench_batch", wish)), size.items)
            figures[BATCH].append(batch)
            figures[WHOLE].append(size.items / tasks[-1])
            for name, seconds in BARE.items():
                script = partial(bare, sandbox.base_url, size, seconds)
                figures[name].append(seen_by(sandbox, script, size.items))
        mapped = partial(airflow.run, "bench_mapped", {"items": size.mapped})
        figures[MAPPED].append(seen_by(sandbox, mapped, size.mapped))
    print(
        f"\n{size.items:,} generations of {RUN_SECONDS:g} s +- 30 %, {size.in_flight} in flight ({size.mapped} of them "
        f"mapped); medians of {size.rounds} rounds in turn\n\n{'':<58}{'a second':>10}{'of the fastest script':>24}"
    )
    medians = {name: statistics.median(values) for name, values in figures.items()}
    limit = max(medians[name] for name in BARE)
    for name, value in medians.items():
        print(f"{name:<58}{value:>10.2f}{value / limit:>23.0%}")


_LARGE = """
import json, resource, sys, tempfile, time
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from tests.batch.bare import task_context
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
style = "in the style of a woodcut, " * 8
items = [{"id": f"item-{number}", "prompt": f"Cat {number}, {style}"} for number in range(COUNT)]
operator = ApimartBatchGenerationOperator(
    task_id="generate", model="gemini-2.5-flash-image-preview", requests=items, max_in_flight=500
)
began = time.monotonic()
manifest = operator.execute(task_context() | {"task": operator})
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
