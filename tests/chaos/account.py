"""Account of a run: injected faults, charges, and saved results."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_apimart.durable.fence import FENCE
from airflow_provider_apimart.durable.segment import SUFFIX
from airflow_provider_apimart.results.storage.receipts import FOLDER as RECEIPTS
from airflow_provider_apimart.sandbox import Sandbox
from tests.chaos.run import Task


@dataclass(frozen=True)
class FaultCounts:
    """
    What was done to Airflow.

    :param faults: How often each target was killed, or its connections cut.
    :param cut: How many connections to the database were cut.
    :param exited: How often each part ended by itself, and was started again.
    """

    faults: Counter[str]
    cut: int
    exited: Counter[str]


@dataclass(frozen=True)
class Bill:
    """
    What APIMart did, by its own count.

    :param calls: How many it received.
    :param faults: How many of them each fault hit.
    :param paid: The ids of the generations that were charged and not refunded.
    """

    calls: int
    faults: Counter[str]
    paid: Sequence[str]


@dataclass(frozen=True)
class Saved:
    """
    What is in the destination.

    :param generations: The generation of each recorded file that is there, with the SHA-256 that was recorded.
    :param broken: Recorded files that aren't there or differ.
    :param strays: Files that are neither recorded nor what the provider keeps beside them.
    """

    generations: Sequence[str]
    broken: Sequence[str]
    strays: Sequence[str]


@dataclass(frozen=True)
class Account:
    """
    The whole of it.

    :param selected: How many generations were asked for.
    :param seconds: How long the run took.
    """

    selected: int
    seconds: float
    counts: FaultCounts
    bill: Bill
    saved: Saved
    tasks: Sequence[Task]

    @property
    def promises(self) -> Mapping[str, bool]:
        """Each promise in words, and whether it was kept."""
        succeeded = sum(task.state == "success" for task in self.tasks)
        saved = self.saved
        return {
            f"billed {len(self.bill.paid)} of {self.selected}, each once": len(self.bill.paid) == self.selected,
            f"saved {len(saved.generations)} of {self.selected}, each with the SHA-256 as recorded": not saved.broken
            and sorted(saved.generations) == sorted(self.bill.paid),
            f"{len(saved.strays)} files exist that nothing recorded": not saved.strays,
            f"succeeded {succeeded} of {len(self.tasks)} tasks": succeeded == len(self.tasks) > 0,
            "everything was hit at least once": all(self.counts.faults.values()),
        }

    @property
    def holds(self) -> bool:
        """Whether all promises were kept."""
        return all(self.promises.values())

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        tries = sum(task.tries for task in self.tasks)
        most = max((task.tries for task in self.tasks), default=0)
        injected = sum(self.bill.faults.values())
        yield f"{'ran':<10}{self.seconds:.0f} s; {len(self.tasks)} tasks took {tries} tries, one of them {most}"
        yield f"{'killed':<10}{_listed(self.counts.faults)}; {self.counts.cut} connections to the database were cut"
        yield f"{'exited':<10}{_listed(self.counts.exited) or 'nothing'} (by itself, and was started again)"
        yield f"{'faults':<10}{injected} on {self.bill.calls} calls ({_listed(self.bill.faults)})"
        yield from (f"{'kept' if kept else 'BROKEN':<10}{words}" for words, kept in self.promises.items())
        yield from (f"{'':<10}{task}" for task in self.tasks if task.state != "success")
        yield from (f"{'':<10}broken: {name}" for name in self.saved.broken)
        yield from (f"{'':<10}stray: {name}" for name in self.saved.strays)


def bill_of(sandbox: Sandbox) -> Bill:
    """Return what a sandbox has counted."""
    requests = [*sandbox.requests, *sandbox.file_requests]
    paid = [generation.generation_id for generation in sandbox.generations if not generation.refunded]
    return Bill(len(requests), Counter(request.fault for request in requests if request.fault), paid)


def saved_in(folder: Path, mapped: Iterable[Mapping[str, Any]]) -> Saved:
    """
    Compare what is in a folder with what was recorded.

    :param mapped: What the mapped tasks recorded; what the batch did, its ledger in the folder says.
    """
    ledgers = list(folder.rglob("*.ledger.jsonl"))
    recorded = {file["uri"].removeprefix("file://"): file for file in [*mapped, *_of_batch(ledgers)]}
    whole = {name for name, file in recorded.items() if _sha256(Path(name)) == file["sha256"]}
    patterns = ("*.gallery.html", f"{RECEIPTS}/*.json", f"{RECEIPTS}/*/*{SUFFIX}", f"{RECEIPTS}/*/{FENCE}")
    beside = {*ledgers, *(path for pattern in patterns for path in folder.rglob(pattern))}
    there = {str(path) for path in {*folder.rglob("*")} - beside if path.is_file()}
    return Saved(
        generations=[recorded[name]["generation_id"] for name in whole],
        broken=sorted(recorded.keys() - whole),
        strays=sorted(there - recorded.keys()),
    )


def _of_batch(ledgers: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    for ledger in ledgers:
        for line in map(json.loads, ledger.read_text().splitlines()):
            for file in line.get("files") or ():
                yield {**file, "generation_id": line["generation_id"]}


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
