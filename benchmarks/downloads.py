"""
Speed of saving results from a server on loopback, compared with curl and a simple loop.

``python -m benchmarks.downloads [--short]``
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from benchmarks.file_server import file_server

_MB = 1_000_000
_SPARE = 2


@dataclass(frozen=True)
class Run:
    """
    One measurement of one way.

    :param processor: Seconds of processor time, of the process that saves.
    :param grown: Bytes by which that process grew at its peak.
    """

    seconds: float
    processor: float
    grown: float


def measure(way: str, urls: Sequence[str]) -> Run:
    """Save some files in a fresh process, in a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="apimart-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.download_ways", way, folder, *urls]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def in_turn(ways: Iterable[str], urls: Sequence[str], rounds: int) -> dict[str, Run]:
    """Measure ways in turn, so that a machine whose speed drifts drifts for all, and return the medians."""
    runs = [{way: measure(way, urls) for way in ways} for _ in range(rounds)]
    return {way: _median([each[way] for each in runs]) for way in ways}


def _median(runs: Sequence[Run]) -> Run:
    return Run(*(statistics.median(getattr(run, each.name) for run in runs) for each in fields(Run)))


def large_file(size: int, rounds: int) -> None:
    """Print the throughput of one large file."""
    ways = [way for way in ("curl", "saver", "naive") if way != "curl" or shutil.which("curl")]
    with file_server(size) as server:
        runs = in_turn(ways, [f"{server}/{size}/video"], rounds)
    print(f"One file of {size / _MB:,.0f} MB, medians of {rounds} rounds in turn\n")
    print(f"{'':<44}{'seconds':>9}{'MB/s':>8}{'of curl':>9}{'processor':>11}{'grown by':>11}")
    for way in ways:
        run, best = runs[way], runs.get("curl")
        share = f"{best.seconds / run.seconds:>9.0%}" if best else f"{'?':>9}"
        grown = f"{run.grown / _MB:,.0f} MB" if way != "curl" else "-"
        figures = f"{run.seconds:>9.2f}{size / _MB / run.seconds:>8,.0f}{share}{run.processor:>9.2f} s{grown:>11}"
        print(f"{_LARGE[way]:<44}{figures}")
    print("" if "curl" in ways else "curl is not installed here")


_LARGE = {
    "curl": "curl -o",
    "saver": "this provider, SHA-256 and fsync included",
    "naive": "requests.get(url).content, then written",
}
_SMALL = {"naive": "requests.get(url).content, one by one", "saver": "this provider, eight at once"}


def small_files(number: int, size: int, latency: float, rounds: int) -> None:
    """Print the time for many small files."""
    with file_server(size, latency) as server:
        runs = in_turn(_SMALL, [f"{server}/{size}/{each}" for each in range(number)], rounds)
    print(
        f"\n{number} pictures of {size / 1000:.0f} kB, {latency * 1000:.0f} ms to the first byte, medians of {rounds} "
        f"rounds in turn\n\n{'':<44}{'seconds':>9}{'files/s':>9}{'times':>7}"
    )
    for way, label in _SMALL.items():
        seconds = runs[way].seconds
        print(f"{label:<44}{seconds:>9.2f}{number / seconds:>9,.0f}{runs['naive'].seconds / seconds:>7.1f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="256 MB instead of 1 GB, and one round")
    short = parser.parse_args().short
    size, rounds = (256 * _MB, 1) if short else (1000 * _MB, 5)
    if shutil.disk_usage(tempfile.gettempdir()).free < size * (_SPARE + 1):
        raise SystemExit(f"{tempfile.gettempdir()} has no room for twice {size / _MB:,.0f} MB")
    large_file(size, rounds)
    for latency in (0.02, 0.0):
        small_files(500, 100_000, latency, rounds)


if __name__ == "__main__":
    main()
