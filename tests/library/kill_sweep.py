"""
Kill batches with SIGKILL at random moments of reusing, copying and entering, and count what is billed and kept.

``python -m tests.library.kill_sweep [--schedules N]`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.library.entry import entry_from_bytes
from airflow_provider_apimart.library.library import ENTRIES
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.batch.bare import BareBatch
from tests.batch.places import BUCKET, Place, read
from tests.s3 import s3_server

NIGHTS = 3
_OF_THE_BATCH = (".jsonl", ".html")


@dataclass(frozen=True)
class Schedule:
    """
    Nights of a catalogue whose batches are killed.

    :param items: Items of the catalogue, a tenth of which is new in each night.
    :param mean_seconds: How long a process lives on average.
    """

    place: Place
    deferrable: bool
    seed: int
    items: int = 40
    mean_seconds: float = 1.2

    def requests(self, night: int) -> list[dict[str, Any]]:
        """Return the items of a night. Two of them ask for the same."""
        new = self.items // 10
        seeds = [*range(night * new, night * new + self.items - 1), night * new]
        return [{"id": f"item-{number}", "prompt": "a cat", "seed": seed} for number, seed in enumerate(seeds)]

    @property
    def to_pay(self) -> int:
        """The number of generations that all nights need: the k-th of identical requests is made once."""
        needed: dict[int, int] = {}
        for night in range(NIGHTS):
            asked = [each["seed"] for each in self.requests(night)]
            needed |= {seed: max(asked.count(seed), needed.get(seed, 0)) for seed in asked}
        return sum(needed.values())


@dataclass(frozen=True)
class Outcome:
    """
    What became of a schedule.

    :param missing: Items without files, or whose files aren't what the ledgers say.
    :param strays: Files in the destinations that no ledger names.
    :param broken: Entries of the library that can't be read, or whose files aren't whole.
    """

    schedule: Schedule
    kills: int
    billed: int
    missing: int
    strays: int
    entries: int
    broken: int

    @property
    def holds(self) -> bool:
        """Whether each request was billed and entered once, and everything is there."""
        is_whole = not self.missing and not self.strays and not self.broken
        return is_whole and self.billed == self.entries == self.schedule.to_pay

    def __str__(self) -> str:
        way = "deferred" if self.schedule.deferrable else "waiting"
        return (
            f"{self.schedule.place:<8}{way:<10}{self.schedule.seed:>5}{self.kills:>7}{self.schedule.to_pay:>8}"
            f"{self.billed:>8}{self.entries:>9}{self.missing:>9}{self.strays:>8}{self.broken:>8}"
            f"   {'holds' if self.holds else 'BROKEN'}"
        )


HEADER = (
    f"{'place':<8}{'way':<10}{'seed':>5}{'kills':>7}{'to pay':>8}{'billed':>8}{'entries':>9}{'missing':>9}"
    f"{'strays':>8}{'broken':>8}"
)


def run(schedule: Schedule, environment: Mapping[str, str]) -> Outcome:
    """
    Run all nights of a schedule, however often they are killed.

    :param environment: Variables with which a process reaches the schedule's storage.
    """
    rng = random.Random(schedule.seed)
    settings = SandboxSettings(seconds=0.05, balance=None, seed=schedule.seed)
    with tempfile.TemporaryDirectory() as name, Sandbox(settings) as sandbox:
        folder = Path(name)
        root = schedule.place.uri(folder / "storage")
        kills = sum(
            BareBatch(
                sandbox.connection_json(),
                folder / "log",
                _arguments(schedule, root, night),
                quick=True,
                place=schedule.place,
                environment=environment,
                run_id=f"night-{night}",
            ).run_killed(rng, schedule.mean_seconds)
            for night in range(NIGHTS)
        )
        return _seen(schedule, kills, sandbox.billed, root)


def _arguments(schedule: Schedule, root: str, night: int) -> dict[str, Any]:
    return {
        "requests": schedule.requests(night),
        "model": "gemini-2.5-flash-image-preview",
        "destination": f"{root}/{night}",
        "filename": "{id}_{index}",
        "library": f"{root}/library",
        "reuse_within": 3600,
        "deferrable": schedule.deferrable,
    }


def _seen(schedule: Schedule, kills: int, billed: int, root: str) -> Outcome:
    missing = strays = 0
    for night in range(NIGHTS):
        there = set(_files(f"{root}/{night}"))
        (ledger,) = (uri for uri in there if uri.endswith(".ledger.jsonl"))
        lines = [json.loads(line) for line in read(ledger).splitlines()]
        named = {file["uri"]: file["sha256"] for line in lines for file in line["files"]}
        whole = {uri for uri, sha256 in named.items() if uri in there and _sha256(uri) == sha256}
        missing += schedule.items - len(whole)
        strays += len({uri for uri in there - set(named) if not uri.endswith(_OF_THE_BATCH)})
    entries = [uri for uri in _files(f"{root}/library/{ENTRIES}") if not uri.endswith(".part")]
    return Outcome(schedule, kills, billed, missing, strays, len(entries), sum(not _is_whole(uri) for uri in entries))


def _files(uri: str) -> Iterator[str]:
    """Go through the files below a directory, but receipts and records."""
    root = ObjectStoragePath(uri)
    for path in root.fs.find(root.path):
        relative = path.removeprefix(root.path).lstrip("/")
        if not relative.startswith(".apimart/"):
            yield f"{uri}/{relative}"


def _is_whole(uri: str) -> bool:
    try:
        entry = entry_from_bytes(uri.rpartition("/")[2], read(uri))
        return all(_sha256(each.kept.file.uri) == each.kept.file.sha256 for each in entry.files)
    except (ValueError, FileNotFoundError):
        return False


def _sha256(uri: str) -> str:
    return hashlib.sha256(read(uri)).hexdigest()


def schedules(count: int) -> Iterator[Schedule]:
    """Return so many schedules, local and on S3, waiting and deferred in turn."""
    for seed in range(count):
        yield Schedule((Place.LOCAL, Place.S3)[seed % 2], deferrable=seed % 4 > 1, seed=seed)


def sweep(wanted: Iterable[Schedule]) -> Iterator[Outcome]:
    """Run schedules, with a server of S3 for those that need it."""
    with s3_server() as server:
        server.bucket(BUCKET)
        for schedule in wanted:
            yield run(schedule, server.variables)


def main() -> int:
    """Print the table and return 1 if the promise doesn't hold anywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=100)
    seen = []
    print(HEADER, flush=True)
    for outcome in sweep(schedules(parser.parse_args().schedules)):
        seen.append(outcome)
        print(outcome, flush=True)
    broken, kills = [outcome for outcome in seen if not outcome.holds], sum(outcome.kills for outcome in seen)
    print(f"\n{kills} kills over {len(seen)} schedules; {len(broken)} broke the promise")
    return 1 if broken or not kills else 0


if __name__ == "__main__":
    sys.exit(main())
