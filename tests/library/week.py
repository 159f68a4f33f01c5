"""
A week of nights over a catalogue of which a part changes each night: billed is what is new, and everything is there.

``python -m tests.library.week [--items N]`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.operators.generation import ApimartImageGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.batch.bare import execute, task_context

NIGHTS = 7
MODEL = "gemini-2.5-flash-image-preview"
WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Outcome:
    """
    What became of a night.

    :param new: Requests that no night before has made.
    :param missing: Items without files, or whose files aren't what their task says.
    """

    night: int
    items: int
    new: int
    billed: int
    reused: int
    missing: int

    @property
    def holds(self) -> bool:
        """Whether exactly the new requests were billed, and all files are there."""
        return self.billed == self.new and self.reused == self.items - self.new and not self.missing

    def __str__(self) -> str:
        return (
            f"{self.night:>5}{self.items:>8}{self.new:>7}{self.billed:>8}{self.reused:>8}{self.missing:>9}"
            f"   {'holds' if self.holds else 'BROKEN'}"
        )


HEADER = f"{'night':>5}{'items':>8}{'new':>7}{'billed':>8}{'reused':>8}{'missing':>9}"


def catalogue(items: int, rng: random.Random) -> Iterator[dict[str, str]]:
    """Go through the nights: the prompts of a catalogue by the ids of its items."""
    number, prompts = items, {f"item-{each}": f"cat {each}" for each in range(items)}
    while True:
        yield dict(prompts)
        for _ in range(math.ceil(items * 0.01)):
            number += 1
            del prompts[rng.choice(sorted(prompts))]
            prompts[rng.choice(sorted(prompts))] = f"another cat {number}"
            prompts[f"item-{number}"] = f"new cat {number}"


def week(items: int, singles: int, folder: Path, seed: int = 0) -> Iterator[Outcome]:
    """
    Run all nights.

    :param singles: The number of items, at most, that generation operators make. Two batches share the others, of which
        one waits and one defers.
    """
    made: set[str] = set()
    with Sandbox(SandboxSettings(seconds=0.05, balance=None, seed=seed)) as sandbox:
        os.environ["AIRFLOW_CONN_APIMART_DEFAULT"] = sandbox.connection_json()
        for night, prompts in zip(range(NIGHTS), catalogue(items, random.Random(seed)), strict=False):
            before = sandbox.billed
            results = list(_night(folder, night, prompts, singles))
            new = set(prompts.values()) - made
            made |= new
            yield Outcome(
                night,
                len(prompts),
                len(new),
                sandbox.billed - before,
                sum(bool(each.get("reused")) for each in results),
                len(prompts) - sum(map(_is_whole, results)),
            )


def _night(folder: Path, night: int, prompts: dict[str, str], singles: int) -> Iterator[dict[str, Any]]:
    """Make a catalogue in each way, and go through the results of its items."""
    requests = [{"id": name, "prompt": prompt} for name, prompt in prompts.items()]
    by_way: dict[str, list[dict[str, str]]] = {"single": [], "waiting": [], "deferred": []}
    for request in requests:
        number = int(request["id"].removeprefix("item-"))
        way = "single" if number < singles else ("waiting", "deferred")[number % 2]
        by_way[way].append(request)
    for request in by_way["single"]:
        yield _single(folder, night, request)
    for way in ("waiting", "deferred"):
        yield from _batch(folder, night, way, by_way[way])


def _common(folder: Path, night: int, way: str) -> dict[str, Any]:
    return {
        "model": MODEL,
        "destination": (folder / f"night-{night}" / way).as_uri(),
        "library": (folder / "library").as_uri(),
        "reuse_within": WEEK,
        "poll_interval": 0.05,
    }


def _batch(folder: Path, night: int, way: str, requests: Sequence[dict[str, str]]) -> Iterator[dict[str, Any]]:
    operator = ApimartBatchGenerationOperator(
        task_id=way,
        requests=requests,
        filename="{id}",
        deferrable=way == "deferred",
        **_common(folder, night, way),
    )
    context = _context(operator, night)
    execute(operator, context)
    ledger = Path(context["ti"].pushed["manifest"]["ledger"].removeprefix("file://"))
    yield from map(json.loads, ledger.read_text().splitlines())


def _single(folder: Path, night: int, request: dict[str, str]) -> dict[str, Any]:
    """Do what a mapped task does with one item, waiting or deferred."""
    number = int(request["id"].removeprefix("item-"))
    operator = ApimartImageGenerationOperator(
        task_id="single",
        prompt=request["prompt"],
        key=request["id"],
        filename="{key}",
        deferrable=bool(number % 2),
        **_common(folder, night, "single"),
    )
    context = _context(operator, night, number)
    try:
        made: dict[str, Any] = operator.execute(context)
    except TaskDeferred as deferred:
        made = operator.execute_complete(context, asyncio.run(_event(deferred.trigger)))
    return made


async def _event(trigger: Any) -> Any:
    return [each.payload async for each in trigger.run()].pop()


def _context(operator: Any, night: int, map_index: int = -1) -> Any:
    context = task_context(run_id=f"night-{night}")
    context["task"], context["ti"].task_id, context["ti"].map_index = operator, operator.task_id, map_index
    return context


def _is_whole(result: dict[str, Any]) -> bool:
    paths = [(Path(file["uri"].removeprefix("file://")), file["sha256"]) for file in result["files"]]
    return bool(paths) and all(hashlib.sha256(path.read_bytes()).hexdigest() == sha256 for path, sha256 in paths)


def main() -> int:
    """Print the table and return 1 if the promise doesn't hold in any night."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--singles", type=int, default=50, help="items that are made by generation operators")
    arguments = parser.parse_args()
    print(HEADER, flush=True)
    holds = True
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIRFLOW__APIMART__LEDGER_PATH"] = f"file://{folder}/records"
        for outcome in week(arguments.items, arguments.singles, Path(folder)):
            print(outcome, flush=True)
            holds = holds and outcome.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
