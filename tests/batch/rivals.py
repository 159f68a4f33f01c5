"""
Tries of one batch that live at the same time: stopped with SIGSTOP, replaced by a retry, and continued.

``python -m tests.batch.rivals [--schedules N]`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.batch.bare import BareBatch

ITEMS = 24
_LONGEST = 60.0


@dataclass(frozen=True)
class Rivalry:
    """
    What became of a batch whose tries lived at the same time.

    :param tries: How many lived at once.
    :param before_clear: Billed when all tries had ended and a last one had found nothing to do.
    :param after_clear: Billed after a person had cleared the succeeded batch.
    :param completed: Lines of the ledger that are completed.
    :param whole: Saved files that are what the ledger says of them.
    """

    seed: int
    tries: int
    before_clear: int
    after_clear: int
    completed: int
    whole: int

    @property
    def holds(self) -> bool:
        """Whether each item was billed once, saved once and never forgotten."""
        return self.before_clear == self.after_clear == self.completed == self.whole == ITEMS


def rival(seed: int) -> Rivalry:
    """Let two or three tries of a batch live at once, by a schedule that follows from the seed."""
    rng = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(SandboxSettings(seconds=0.3, balance=None, seed=seed)) as sandbox,
    ):
        folder = Path(name)
        batch = BareBatch(sandbox.connection_json(), folder / "log", _arguments(rng, folder))
        tries = rng.choice([2, 2, 3])
        _live_at_once(batch, rng, tries)
        # What failed once is made anew by a retry.
        for number in range(2):
            _finish(batch.start(tries + 1 + number))
        billed = sandbox.billed
        _finish(batch.start(tries + 3, max_tries=4))
        return _counted(seed, tries, billed, sandbox.billed, folder / "pictures")


def _arguments(rng: random.Random, folder: Path) -> dict[str, Any]:
    prompts = ["a cat", "a dog", "a hen", "[sandbox: fail once]"]
    requests = [{"id": f"item-{number}", "prompt": rng.choice(prompts)} for number in range(ITEMS)]
    return {
        "requests": requests,
        "model": "gemini-2.5-flash-image-preview",
        "destination": (folder / "pictures").as_uri(),
        "max_in_flight": rng.choice([4, 50]),
        "deferrable": rng.random() < 0.3,
    }


def _live_at_once(batch: BareBatch, rng: random.Random, tries: int) -> None:
    """Stop each try at a random moment, start the next one, and continue all of them in a random order."""
    processes = []
    for number in range(1, tries + 1):
        process = batch.start(number)
        processes.append(process)
        time.sleep(rng.uniform(0.0, 1.2))
        if process.is_alive() and (number < tries or rng.random() < 0.3):
            os.kill(int(process.pid or 0), signal.SIGSTOP)
    rng.shuffle(processes)
    for process in processes:
        if process.is_alive():
            os.kill(int(process.pid or 0), signal.SIGCONT)
        if rng.random() < 0.5:
            process.join(_LONGEST)
    for process in processes:
        _finish(process)


def _finish(process: Any) -> None:
    process.join(_LONGEST)
    if process.exitcode is None:
        process.kill()
        raise AssertionError("a try didn't end")


def _counted(seed: int, tries: int, before: int, after: int, pictures: Path) -> Rivalry:
    (ledger,) = pictures.glob("*.ledger.jsonl")
    lines = [line for line in map(json.loads, ledger.read_text().splitlines()) if line["status"] == "completed"]
    files = {file["uri"].removeprefix("file://"): file["sha256"] for line in lines for file in line["files"]}
    whole = [name for name, sha256 in files.items() if hashlib.sha256(Path(name).read_bytes()).hexdigest() == sha256]
    return Rivalry(seed, tries, before, after, len(lines), len(whole))


def main() -> int:
    """Print what broke and a sum, and return 1 if the promise doesn't hold anywhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=300)
    schedules = parser.parse_args().schedules
    broken = [outcome for outcome in map(rival, range(schedules)) if not outcome.holds]
    for outcome in broken:
        print(outcome)
    print(f"{schedules} schedules of tries that lived at once; {len(broken)} broke the promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
