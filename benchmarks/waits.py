"""
Thousands of waits in one event loop, as in a triggerer: this provider compared with common patterns.

``python -m benchmarks.waits [--short]``. Every run is a fresh process; the status server is another one, which
answers after 50 milliseconds. Runs of the patterns take turns, and the medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.status_server import status_server

Figures = dict[str, float | None]

# Seconds that a run may take beyond its time; then its event loop is given up.
PATIENCE = 30.0
OURS = "this provider"
BARE = "bare shared aiohttp session"
OTHERS = (
    "one shared httpx client",
    "blocking client in threads",
    "one httpx client a trigger",
    "blocking client",
)


@dataclass(frozen=True)
class Load:
    """
    Number of waits and their polling interval.

    :param seconds: Duration of the measurement, after every wait has polled once.
    :param others: Patterns beside ours and the bare session that can be tried with it.
    """

    waits: int
    interval: float
    seconds: float
    others: Sequence[str]

    def run(self, pattern: str, base_url: str, home: str) -> Figures | None:
        """Run a pattern in a fresh process and return its figures, ``None`` if its event loop never came back."""
        arguments = [pattern, str(self.waits), str(self.interval), str(self.seconds), base_url]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.wait_patterns", *arguments],
                env=os.environ | {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                check=True,
                timeout=self.interval + self.seconds + PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return None
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures


_STOOD_STILL = "its event loop, or the bare session's, stood still"
_NO_VERDICT = "The machine was too busy to compare"
# Long enough that a full garbage collection, of which there may be one in ten seconds, counts in every run alike.
LOADS = (Load(5000, 10.0, 20.0, OTHERS[:2]), Load(1000, 5.0, 20.0, OTHERS))


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    known = {name: [run[name] for run in runs if run[name] is not None] for name in runs[0]}
    return {name: statistics.median(values) if values else None for name, values in known.items()}  # type: ignore[type-var]  # without None


def row(name: str, figures: Figures, bare: Figures, runs: int) -> str:
    """Return a line of the table."""
    latency, cpu, ratio = figures["latency"], figures["cpu"], None
    if cpu is not None and bare["cpu"]:
        ratio = cpu / bare["cpu"]
    above = ((figures["memory"] or 0) - (bare["memory"] or 0)) / 1024
    return (
        f"{name:<30}{figures['done']:>8.1%}{_shown(latency, 1000, 'ms', 0):>12}{_shown(figures['stop'], 1, 's', 2):>10}"
        f"{_shown(cpu, 1000, 'ms', 2):>10}{_shown(ratio, 1, '', 2):>7}{above:>12.1f} KB{runs:>7}"
    )


def _shown(value: float | None, factor: float, unit: str, digits: int) -> str:
    return "-" if value is None else f"{value * factor:,.{digits}f} {unit}".strip()


HEAD = (
    f"{'':<30}{'due done':>8}{'median poll':>12}{'stop':>10}{'CPU/poll':>10}{'ratio':>7}{'memory/wait':>15}{'runs':>7}"
)


def verdict(ours: Figures, bare: Figures) -> str:
    """Return a line that says which goals ours reaches."""
    done, stop, cpu, memory = (ours[name] or 0.0 for name in ("done", "stop", "cpu", "memory"))
    goals = {
        "all due polls done": done >= 1.0,
        "no stop over 0.2 s": stop <= 0.2,
        "CPU a poll at most 1.3 of the bare session's": cpu <= 1.3 * (bare["cpu"] or 0.0),
        "at most 12 KB a wait above it": memory - (bare["memory"] or 0.0) <= 12 * 1024,
    }
    return "; ".join(f"{goal}: {'reached' if reached else 'MISSED'}" for goal, reached in goals.items())


def compare(load: Load, rounds: int, *, short: bool, base_url: str, home: str) -> None:
    """Run all patterns that can carry a load, and print its table."""
    runs: dict[str, list[Figures]] = {}
    for number in range(rounds):
        # The others are far off, so one run of each is enough.
        for pattern in (BARE, OURS, *(() if short or number else load.others)):
            figures = load.run(pattern, base_url, home)
            runs.setdefault(pattern, []).extend([figures] if figures else [])
    print(f"\n{load.waits:,} waits every {load.interval:.0f} s\n{HEAD}")
    for pattern, found in runs.items():
        measured = found and runs[BARE]
        print(
            row(pattern, medians(found), medians(runs[BARE]), len(found))
            if measured
            else f"{pattern:<30} {_STOOD_STILL}"
        )
    print(verdict(medians(runs[OURS]), medians(runs[BARE])) if runs[OURS] and runs[BARE] else _NO_VERDICT, flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer waits of ours and the bare session only, once each")
    short = parser.parse_args().short
    print(
        "Waits in one event loop; status calls of 50 ms. Medians of the runs. Stop: the longest time in which the\n"
        "loop did nothing else. CPU: once every wait has polled. Memory: above the bare session's; a wait of ours\n"
        "holds its trigger with its logger, its flow and how it was called, and nothing of what it saw."
    )
    with tempfile.TemporaryDirectory() as home, status_server() as base_url:
        for load in LOADS[-1:] if short else LOADS:
            compare(load, 1 if short else 3, short=short, base_url=base_url, home=home)


if __name__ == "__main__":
    main()
