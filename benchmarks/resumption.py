"""
Start of a batch whose items are finished, as when its task is cleared: with one new item, and without.

``python -m benchmarks.resumption [--short]``, with the record on a local disk and on S3 by moto's server. Each run is a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from benchmarks.own_process import told_by
from benchmarks.storages import STORAGES

ITEMS, SHORT_ITEMS = 10_000, 500


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_ITEMS} items instead of {ITEMS:,}")
    parser.add_argument("--run", nargs=2, type=int, metavar=("ITEMS", "TRY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(_run(*arguments.run)))
        return
    items = SHORT_ITEMS if arguments.short else ITEMS
    print(f"A batch of {items:,} items\n\n{'record on':<12}{'what':<34}{'billed':>8}{'seconds':>9}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as home:
        for name, storage in STORAGES.items():
            with storage(Path(home)) as (root, variables):
                measure(name, items, {**variables, "AIRFLOW__APIMART__LEDGER_PATH": root, "AIRFLOW_HOME": home})


def measure(name: str, items: int, environment: Mapping[str, str]) -> None:
    """Print the rows of a storage."""
    settings = SandboxSettings(seconds=0.05, balance=Decimal(1_000_000))
    with Sandbox(settings) as sandbox:
        variables = {
            **environment,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        }
        made = _told(sandbox, 1, items, variables, to_bill=items)
        _print(name, "makes all items", items, made["seconds"], made)
        one_more = _told(sandbox, 2, items + 1, variables, to_bill=1)
        submitted = max(generation.created for generation in sandbox.generations)
        _print(name, "until one new item is submitted", 1, submitted - one_more["began"], one_more)
        nothing = _told(sandbox, 3, items + 1, variables, to_bill=0)
        _print(name, "finds all finished, to the end", 0, nothing["seconds"], nothing)


def _told(sandbox: Sandbox, number: int, items: int, environment: Mapping[str, str], *, to_bill: int) -> dict[str, Any]:
    before = sandbox.billed
    told = told_by("benchmarks.resumption", "--run", str(items), str(number), environment=environment)
    assert sandbox.billed - before == to_bill, f"{sandbox.billed - before} items were billed instead of {to_bill}"
    return told


def _print(storage: str, what: str, billed: int, seconds: float, told: Mapping[str, Any]) -> None:
    print(f"{storage:<12}{what:<34}{billed:>8,}{seconds:>9.1f}{told['megabytes']:>9.0f}", flush=True)


def _run(items: int, number: int) -> dict[str, Any]:
    """Run the batch in this process, as a try of its task instance."""
    from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
    from tests.batch.bare import task_context

    operator = ApimartBatchGenerationOperator(
        task_id="generate",
        model="gemini-2.5-flash-image-preview",
        requests=[{"id": f"item-{each}", "prompt": f"Cat {each}"} for each in range(items)],
        max_in_flight=500,
        poll_interval=0.5,
    )
    began = time.time()
    manifest = operator.execute(task_context(try_number=number, max_tries=number - 1) | {"task": operator})
    seconds = time.time() - began
    assert manifest["completed"] == items
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"began": began, "seconds": seconds, "megabytes": megabytes}


if __name__ == "__main__":
    main()
