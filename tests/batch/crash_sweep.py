"""
Kill batches with SIGKILL at random moments until they have ended all the same, and count what was billed.

``python -m tests.batch.crash_sweep [--kills N]`` prints the table; the tests run a short form of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.models import MODELS
from tests.batch.bare import BareBatch
from tests.lab import AirflowLab, Template

ITEMS = 500
# Ledger, gallery, facts, their fence, and receipts of saved files.
_OF_THE_BATCH = (".jsonl", ".html", ".facts", ".json")
PRICED = ("gemini-2.5-flash-image-preview", "gemini-3-pro-image-preview", "gpt-image-1.5")


@dataclass(frozen=True)
class Scenario:
    """
    One batch to be killed.

    :param in_airflow: Whether Airflow's own processes are killed, or ones that run the operator bare.
    :param ignores_keys: Whether the service takes every submit as new, whatever its idempotency key.
    :param limited: Whether ``max_cost`` doesn't suffice for all items.
    :param mean_seconds: How long a process lives on average.
    """

    deferrable: bool
    in_airflow: bool = False
    ignores_keys: bool = False
    limited: bool = False
    items: int = ITEMS
    mean_seconds: float = 0.9
    seed: int = 0

    @property
    def name(self) -> str:
        """What it is called in the table."""
        where = "Airflow" if self.in_airflow else "bare"
        what = "keys ignored" if self.ignores_keys else "max_cost" if self.limited else "as documented"
        return f"{where:<9}{'deferred' if self.deferrable else 'waiting':<10}{what:<15}"

    def requests(self) -> list[dict[str, Any]]:
        """Return the items. Their pictures are alike, since the sandbox takes its time to draw."""
        rng = random.Random(self.seed)
        models = PRICED if self.limited else PRICED[:1]
        return [{"id": f"item-{each}", "prompt": "a cat", "model": rng.choice(models)} for each in range(self.items)]

    @property
    def max_cost(self) -> Decimal | None:
        """US dollars that suffice for a part of the items, at a limit that no sum of prices meets."""
        if not self.limited:
            return None
        total = sum(MODELS[each["model"]].price for each in self.requests())
        assert isinstance(total, Decimal)
        return (total * random.Random(self.seed).randint(20, 80) / 100).quantize(Decimal("0.0001"))


@dataclass(frozen=True)
class Outcome:
    """
    What became of a batch.

    :param lines: Completed lines of its ledger.
    :param files: Pictures in the destination that are what the ledger says of them.
    :param strays: Files beside them that shouldn't be there.
    :param told: US dollars by the ledger.
    """

    scenario: Scenario
    kills: int
    accepted: int
    billed: int
    dollars: Decimal
    lines: int
    files: int
    strays: int
    told: Decimal

    @property
    def paid_twice(self) -> int:
        """Generations that were paid for and are in no line of the ledger."""
        return self.billed - self.lines

    @property
    def holds(self) -> bool:
        """Whether each item was billed once and landed once, and no more was spent than allowed."""
        if self.scenario.ignores_keys:
            return self.lines == self.files == self.scenario.items
        if not self.billed == self.accepted == self.lines == self.files or self.strays:
            return False
        if self.scenario.max_cost is None:
            return self.lines == self.scenario.items
        dearest = max(MODELS[model].price for model in PRICED)
        return self.told == self.dollars and -dearest <= self.dollars - self.scenario.max_cost <= 0

    def __str__(self) -> str:
        limit = "" if self.scenario.max_cost is None else f" of ${self.scenario.max_cost}"
        return (
            f"{self.scenario.name}{self.kills:>6}{self.scenario.items:>7}{self.billed:>8}{self.lines:>10}{self.files:>7}"
            f"{self.paid_twice:>7}   ${self.dollars}{limit}   {'holds' if self.holds else 'BROKEN'}"
        )


HEADER = (
    f"{'where':<9}{'mode':<10}{'service':<15}{'kills':>6}{'items':>7}{'billed':>8}{'in ledger':>10}{'files':>7}"
    f"{'twice':>7}   dollars"
)


def crash(scenario: Scenario, lab: AirflowLab | None = None) -> Outcome:
    """
    Run a batch to its end, however often it is killed.

    :param lab: Where a scenario in Airflow runs.
    """
    settings = SandboxSettings(seconds=0.3, balance=None, seed=scenario.seed, ignore_idempotency=scenario.ignores_keys)
    with tempfile.TemporaryDirectory() as name, Sandbox(settings) as sandbox:
        folder = Path(name)
        (folder / "requests.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in scenario.requests()))
        arguments = {
            "requests": (folder / "requests.jsonl").as_uri(),
            "destination": (folder / "pictures").as_uri(),
            "max_in_flight": 50,
            "max_cost": None if scenario.max_cost is None else str(scenario.max_cost),
        }
        run = _in_airflow(scenario, lab) if lab else _bare(scenario, folder)
        kills = run(sandbox, arguments)
        return _counted(scenario, kills, sandbox, folder / "pictures")


Killed = Callable[[Sandbox, dict[str, Any]], int]


def _bare(scenario: Scenario, folder: Path) -> Killed:
    def run(sandbox: Sandbox, arguments: dict[str, Any]) -> int:
        arguments = {**arguments, "deferrable": scenario.deferrable}
        batch = BareBatch(sandbox.connection_json(), folder / "log", arguments)
        return batch.run_killed(random.Random(scenario.seed), scenario.mean_seconds)

    return run


def _in_airflow(scenario: Scenario, lab: AirflowLab) -> Killed:
    def run(sandbox: Sandbox, arguments: dict[str, Any]) -> int:
        rng, kills = random.Random(scenario.seed), 0
        dag_id = f"lab_batch_retried_{'deferred' if scenario.deferrable else 'waiting'}"
        batch = lab.start_run(dag_id, {"requests": arguments["requests"], "arguments": arguments})
        while not batch.drive(
            sandbox.connection_json(), signal_after=("SIGKILL", rng.expovariate(1 / scenario.mean_seconds))
        ):
            kills += 1
            batch.recover()
        return kills

    return run


def _counted(scenario: Scenario, kills: int, sandbox: Sandbox, pictures: Path) -> Outcome:
    (ledger,) = pictures.glob("*.ledger.jsonl")
    lines = [line for line in map(json.loads, ledger.read_text().splitlines()) if line["status"] == "completed"]
    files = {file["uri"].removeprefix("file://"): file["sha256"] for line in lines for file in line["files"]}
    whole = [name for name, sha256 in files.items() if hashlib.sha256(Path(name).read_bytes()).hexdigest() == sha256]
    there = {str(file) for file in pictures.rglob("*") if file.is_file() and file.suffix not in _OF_THE_BATCH}
    return Outcome(
        scenario,
        kills,
        sandbox.accepted,
        sandbox.billed,
        sandbox.dollars,
        lines=len(lines),
        files=len(whole),
        strays=len(there - set(files)),
        told=sum((Decimal(str(line["cost"])) for line in lines), Decimal(0)),
    )


def scenarios(kills: int) -> Iterator[Scenario]:
    """Return what the long form tries, until the kills are enough."""
    for seed in range(kills):
        for deferrable in (False, True):
            yield Scenario(deferrable, seed=seed)
            yield Scenario(deferrable, limited=True, seed=seed)
            if seed % 2 == 0:
                yield Scenario(deferrable, in_airflow=True, mean_seconds=2.5, seed=seed)
                yield Scenario(deferrable, ignores_keys=True, seed=seed)


@contextmanager
def laboratory() -> Iterator[AirflowLab]:
    """Provide an Airflow for the scenarios that run in one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        AirflowLab(Path(folder, "lab"), Template(Path(folder, "template"))) as lab,
    ):
        yield lab


def main() -> int:
    """Print the table and return 1 if the promise doesn't hold anywhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200, help="how many at least")
    kills = parser.parse_args().kills
    outcomes: list[Outcome] = []
    print(HEADER, flush=True)
    with laboratory() as lab:
        for scenario in scenarios(kills):
            outcomes.append(crash(scenario, lab if scenario.in_airflow else None))
            print(outcomes[-1], flush=True)
            if sum(outcome.kills for outcome in outcomes if not outcome.scenario.ignores_keys) >= kills:
                break
    return _summed(outcomes)


def _summed(outcomes: list[Outcome]) -> int:
    broken = [outcome for outcome in outcomes if not outcome.holds]
    in_airflow = sum(outcome.kills for outcome in outcomes if outcome.scenario.in_airflow)
    print(
        f"\n{sum(outcome.kills for outcome in outcomes)} kills, {in_airflow} of them of Airflow's own processes, over "
        f"{len(outcomes)} batches; {len(broken)} batches broke the promise"
    )
    ignored = [outcome for outcome in outcomes if outcome.scenario.ignores_keys]
    if ignored:
        twice, kills = sum(outcome.paid_twice for outcome in ignored), sum(outcome.kills for outcome in ignored)
        print(
            f"a service that ignores the key: {twice} paid twice in {kills} kills; those are the submits whose answer "
            "was under way, or not yet on the disk, when the process died"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
