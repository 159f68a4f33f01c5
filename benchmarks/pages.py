"""
Time and memory of the gallery of a large batch, as the API server shows it.

``python -m benchmarks.pages [--items N]``. The ledger lies on a local disk. Reading its lines with ``json``, which
shows nothing, is measured in the same process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROUNDS = 3
LATER = ("page=50", "page=100", "q=number+77", "sort=cost&page=2", "status=completed")


def megabytes() -> float:
    """Return what this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def parse(ledger: Path) -> list[object]:
    """Read a ledger with the standard library."""
    return [json.loads(line) for line in ledger.read_bytes().splitlines()]


def measure(items: int, home: Path) -> None:
    """Print the table."""
    # They import Airflow, whose settings are in the environment by now.
    from tests.page import content
    from tests.page.host import airflow_with_pages, client, simple_user

    # Of each request.
    logging.disable(logging.INFO)

    async def made() -> Any:
        return airflow_with_pages()

    def show(query: str) -> None:
        viewer.get(f"/gallery?{query}").raise_for_status()

    viewer = client(asyncio.run(made()), simple_user("viewer", "VIEWER"))
    content.large_batch("small", home / "small", 100)
    show("dag_id=small")
    firsts: list[float] = []
    later: list[float] = []
    held = 0.0
    for number in range(ROUNDS):
        dag_id = f"large{number}"
        content.large_batch(dag_id, home / dag_id, items)
        # The list of entries is kept for a moment.
        time.sleep(3)
        before = megabytes()
        firsts.append(seconds(partial(show, f"dag_id={dag_id}")))
        held = held or megabytes() - before
        later += [seconds(partial(show, f"dag_id={dag_id}&{query}")) for query in LATER]
    ledger = home / "large0" / content.ledger_name("large0", "generate", "large")
    bare = statistics.median(seconds(lambda: parse(ledger)) for _ in range(ROUNDS))
    print(
        f"A gallery of {items:,} items, a ledger of {ledger.stat().st_size / 1e6:.1f} MB; medians of {ROUNDS} rounds\n"
    )
    print(f"{'':<44}{'ms':>8}{'ratio':>8}")
    for name, value in (
        ("json.loads of each line of the ledger", bare),
        ("first page", statistics.median(firsts)),
        ("later pages, searches and orders", statistics.median(later)),
    ):
        print(f"{name:<44}{value * 1000:>8.0f}{value / bare:>8.2f}")
    print(f"\nMemory after the first page: {held:.0f} MB more than before")


def main() -> None:
    """Measure in an Airflow of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__APIMART__LEDGER_PATH": f"{folder}/place",
            "AIRFLOW__API_AUTH__JWT_SECRET": "secret" * 12,
        }
        measure(items, Path(folder))


if __name__ == "__main__":
    main()
