"""
Ways to save results that the benchmark of downloads compares, each in a fresh process.

``python -m benchmarks.download_ways WAY FOLDER URL...`` prints seconds, processor time and memory as JSON. The clock
runs from the first request to the last file in place; imports and the process's own start are left out. Memory is what
the process grew by, at its peak, from just before the first request.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

_AT_ONCE = 8


def saver(folder: Path, urls: Sequence[str]) -> Callable[[], None]:
    """Return this provider's way: checked addresses, SHA-256, a receipt each, fsync, moved when whole."""
    from airflow_provider_apimart.api.generation import Output, OutputKind
    from airflow_provider_apimart.results.download.address_policy import AddressPolicy
    from airflow_provider_apimart.results.download.client import Network
    from airflow_provider_apimart.results.saver import ResultSaver, SaveRequest

    parts = urlsplit(urls[0])
    network = Network(address_policy=AddressPolicy(f"{parts.scheme}://{parts.netloc}"))
    results = ResultSaver(str(folder), network=network, threads=_AT_ONCE)

    def run() -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool, results:
            names = [f"task_{number}" for number in range(len(urls))]
            wanted = [
                SaveRequest(Output(url, OutputKind.IMAGE), name, name) for url, name in zip(urls, names, strict=True)
            ]
            list(pool.map(results.save, wanted))

    return run


def naive(folder: Path, urls: Sequence[str]) -> Callable[[], None]:
    """Return the loop that everybody writes first."""
    import requests

    def run() -> None:
        for number, url in enumerate(urls):
            (folder / f"task_{number}.png").write_bytes(requests.get(url, timeout=600).content)

    return run


def curl(folder: Path, urls: Sequence[str]) -> Callable[[], None]:
    """Return curl, one process a file; its own start is in its time."""
    program = shutil.which("curl")
    if program is None:
        raise SystemExit("curl is not installed")

    def run() -> None:
        for number, url in enumerate(urls):
            subprocess.run([program, "-sS", "-o", folder / f"task_{number}.png", url], check=True)

    return run


WAYS = {"saver": saver, "naive": naive, "curl": curl}


def main() -> None:
    """Save as one of the ways does, and print what it took."""
    way, folder, *urls = sys.argv[1:]
    run = WAYS[way](Path(folder), urls)
    memory, processor, began = _peak_memory(), _processor_seconds(), time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    took = {"seconds": seconds, "processor": _processor_seconds() - processor, "grown": _peak_memory() - memory}
    print(json.dumps(took))


def _processor_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="apimart-bench-") as home:
        os.environ["AIRFLOW_HOME"] = home
        main()
