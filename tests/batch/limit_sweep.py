"""
Batches with ``max_cost`` under everything at once: lost replies, 429, kills, rival tries, retries and clears.

``python -m tests.batch.limit_sweep [--schedules N]`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.models import MODELS
from tests.batch.bare import BareBatch

ITEMS = 40
_LONGEST = 120.0
_REQUESTS: tuple[Mapping[str, Any], ...] = (
    {"model": "gemini-2.5-flash-image-preview"},
    {"model": "gemini-3-pro-image-preview", "n": 3},
    {"model": "gemini-3-pro-image-preview", "resolution": "4K"},
    {"model": "gpt-image-2-ext", "size": "auto", "quality": "low"},
    {"model": "qwen-image-edit", "image_urls": ["https://example.com/a.png", "https://example.com/b.png"]},
    {"model": "midjourney"},
)
_FAULTS = ("lost_answer", "bad_gateway", "rate_limited", "closed_before_reading", "server_error", "reset")


@dataclass(frozen=True)
class Limited:
    """
    What a batch has cost.

    :param has_quotes: Whether the price route answered.
    :param most: US dollars that the dearest item costs.
    """

    seed: int
    has_quotes: bool
    limit: Decimal
    dollars: Decimal
    most: Decimal
    tries: int

    @property
    def holds(self) -> bool:
        """Whether the limit was kept: to the last digit with quotes, within one item without."""
        return self.dollars <= self.limit + (Decimal(0) if self.has_quotes else self.most)


def limited(seed: int) -> Limited:
    """Run a batch by a schedule that follows from the seed, and count what it has cost."""
    rng = random.Random(seed)
    settings = SandboxSettings(seconds=0.2, balance=None, seed=seed)
    with tempfile.TemporaryDirectory() as name, Sandbox(settings) as sandbox:
        folder = Path(name)
        requests = [
            {"id": f"item-{number}", "prompt": rng.choice(["a cat", "[sandbox: fail once]"]), **rng.choice(_REQUESTS)}
            for number in range(ITEMS)
        ]
        costs = [MODELS[each["model"]].reservation(each) for each in requests]
        limit = (sum(costs, Decimal(0)) * rng.randint(5, 90) / 100).quantize(Decimal("0.0001"))
        has_quotes = rng.random() < 0.7
        _inject(sandbox, rng, has_quotes=has_quotes)
        batch = BareBatch(
            sandbox.connection_json(), folder / "log", _arguments(rng, folder, requests, limit), quick=True
        )
        tries = _live(batch, rng)
        sandbox.complete_all()
        return Limited(seed, has_quotes, limit, sandbox.dollars, max(costs), tries)


def _inject(sandbox: Sandbox, rng: random.Random, *, has_quotes: bool) -> None:
    if not has_quotes:
        sandbox.inject(Fault("forbidden", on="pricing", share=1.0))
    for kind in rng.sample(_FAULTS, 2):
        sandbox.inject(Fault(kind, on="submit", share=rng.uniform(0.0, 0.2), retry_after=0.1))


def _arguments(rng: random.Random, folder: Path, requests: list[dict[str, Any]], limit: Decimal) -> dict[str, Any]:
    return {
        "requests": requests,
        "destination": (folder / "pictures").as_uri(),
        "max_cost": str(limit),
        "max_in_flight": rng.choice([3, 12, 50]),
        "deferrable": rng.random() < 0.3,
        "on_unknown_outcome": rng.choice(["retry_same_key", "fail"]),
        "check": "off",
    }


def _live(batch: BareBatch, rng: random.Random) -> int:
    """Run several tries: some are killed, some stopped while the next one runs, some are clears."""
    tries = rng.randint(2, 5)
    max_tries, stopped = 0, []
    for number in range(1, tries + 1):
        max_tries += 3 * (rng.random() < 0.5)
        process = batch.start(number, max_tries)
        process.join(rng.uniform(0.2, 3.0))
        fate = rng.choice(["killed", "stopped", "left alone"])
        if process.is_alive() and fate == "killed":
            process.kill()
        elif process.is_alive() and fate == "stopped":
            os.kill(int(process.pid or 0), signal.SIGSTOP)
            stopped.append(process)
        else:
            process.join(_LONGEST)
    for process in stopped:
        os.kill(int(process.pid or 0), signal.SIGCONT)
        process.join(_LONGEST)
        process.kill()
    time.sleep(0.1)
    return tries


def main() -> int:
    """Print the table and a sum, and return 1 if a limit wasn't kept anywhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=100)
    outcomes = [limited(seed) for seed in range(parser.parse_args().schedules)]
    for outcome in outcomes:
        if not outcome.holds:
            print(outcome)
    broken = sum(not outcome.holds for outcome in outcomes)
    quoted = [outcome for outcome in outcomes if outcome.has_quotes]
    used = sum(outcome.dollars / outcome.limit for outcome in quoted) / max(1, len(quoted))
    print(
        f"{len(outcomes)} schedules, {len(quoted)} of them with quotes; {broken} exceeded their limit; "
        f"with quotes, {used:.0%} of the limit was used on average"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
