"""
Tries of one batch that live at the same time: stopped with SIGSTOP, replaced by a retry, continued or killed.

``python -m tests.batch.rivals [--schedules N]`` prints the table; the tests run a short form of it. Each schedule
follows from its seed, and so does its arena: a storage, and whether the tries are processes or threads of one process.
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
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.durable.fact_files import FactFiles
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.ledger_path import LEDGER_SUFFIX
from airflow_provider_apimart.durable.task_identity import file_name_of, task_identity
from airflow_provider_apimart.results.storage.receipts import FOLDER
from airflow_provider_apimart.sandbox import Sandbox, SandboxSettings
from tests.airflow_versions import running
from tests.batch.bare import INCOMPLETE, BareBatch, attempt, note_acknowledged_facts, task_context
from tests.batch.places import BUCKET, Place, read
from tests.s3 import s3_server

ITEMS = 12
_LONGEST = 60.0
_REPORTED = 25
_KILLED = -signal.SIGKILL
# Pauses of a thread, in place of SIGSTOP: how likely at each operation of the storage, and how long.
_PAUSED, _LONGEST_PAUSE = 0.08, 0.6


@dataclass(frozen=True)
class Arena:
    """
    Where tries meet.

    :param in_threads: Whether they are threads of one process, and not processes.
    """

    place: Place
    in_threads: bool

    def __str__(self) -> str:
        return f"{self.place:<16}{'one process' if self.in_threads else 'processes':<14}"


ARENAS = (
    Arena(Place.LOCAL, in_threads=False),
    Arena(Place.S3, in_threads=False),
    Arena(Place.IN_PLACE, in_threads=False),
    Arena(Place.STALE, in_threads=False),
    Arena(Place.MEMORY, in_threads=True),
    Arena(Place.LOCAL, in_threads=True),
    Arena(Place.IN_PLACE, in_threads=True),
    Arena(Place.STALE, in_threads=True),
)


def arena_of(seed: int) -> Arena:
    """Return where the tries of a schedule meet."""
    return ARENAS[seed % len(ARENAS)]


@dataclass(frozen=True)
class Rivalry:
    """
    What became of a batch whose tries lived at the same time.

    :param tries: How many lived at once.
    :param before_clear: Billed when all tries had ended and a last one had found nothing to do.
    :param after_clear: Billed after a person had cleared the succeeded batch.
    :param completed: Lines of the ledger that are completed.
    :param whole: Saved files that are what the ledger says of them.
    :param forgotten: Facts that were durable once and aren't in the record any more.
    :param broken: Exit statuses of tries that ended in no way that a rival explains.
    :param log: What the tries have said, if something is broken.
    """

    seed: int
    tries: int
    before_clear: int
    after_clear: int
    completed: int
    whole: int
    forgotten: int
    broken: tuple[int, ...]
    log: str = ""

    @property
    def holds(self) -> bool:
        """Whether each item was billed once, saved once and never forgotten."""
        counts = {self.before_clear, self.after_clear, self.completed, self.whole}
        return counts == {ITEMS} and not self.forgotten and not self.broken


class Schedule:
    """
    Tries of one batch, in an order that follows from the seed.

    :param folder: A directory of its own.
    """

    def __init__(self, seed: int, sandbox: Sandbox, folder: Path) -> None:
        self.seed = seed
        self._rng = random.Random(seed)
        self._arena = arena_of(seed)
        self._sandbox = sandbox
        self._acknowledged = folder / "acknowledged.jsonl"
        self._acknowledged.touch()
        self.log = folder / "log"
        (folder / "pictures").mkdir()
        self._destination = self._arena.place.uri(folder / "pictures")
        self._broken: list[int] = []
        self._batch = BareBatch(
            sandbox.connection_json(),
            self.log,
            self._arguments(),
            place=self._arena.place,
            environment={name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_AWS")},
            acknowledged=self._acknowledged,
        )

    def _arguments(self) -> Mapping[str, Any]:
        prompts = ["a cat", "a dog", "a hen", "[sandbox: fail once]"]
        requests = [{"id": f"item-{number}", "prompt": self._rng.choice(prompts)} for number in range(ITEMS)]
        return {
            "requests": requests,
            "model": "gemini-2.5-flash-image-preview",
            "destination": self._destination,
            "max_in_flight": self._rng.choice([6, 50]),
            "deferrable": self._rng.random() < 0.3,
        }

    def carry_out(self) -> Rivalry:
        """Let two or three tries live at once, then retry until there is nothing to do, then clear."""
        tries = self._rng.choice([2, 2, 3])
        (self._as_threads if self._arena.in_threads else self._as_processes)(tries)
        # What failed once, or was killed, is made by a retry.
        last = self._until_it_succeeds(tries)
        billed = self._sandbox.billed
        self._run(last + 1, max_tries=4)
        return self._counted(tries, billed)

    def _until_it_succeeds(self, tries: int) -> int:
        for number in range(tries + 1, tries + 6):
            if self._run(number) == 0:
                return number
        raise AssertionError(f"the batch of seed {self.seed} didn't succeed:\n{self._last_words}")

    @property
    def _last_words(self) -> str:
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def _as_processes(self, tries: int) -> None:
        """Stop each try at a random moment, start the next one, and go on with all of them in a random order."""
        at_once = self._rng.random() < 0.3
        processes = []
        for number in range(1, tries + 1):
            process = self._batch.start(number)
            processes.append(process)
            time.sleep(0.0 if at_once else self._rng.uniform(0.0, 1.2))
            if not at_once and (number < tries or self._rng.random() < 0.3):
                _send(process, signal.SIGSTOP)
        self._rng.shuffle(processes)
        for process in processes:
            _send(process, signal.SIGKILL if self._rng.random() < 0.1 else signal.SIGCONT)
            if self._rng.random() < 0.5:
                process.join(_LONGEST)
        for process in processes:
            self._ended(process, may_be_killed=True)

    def _as_threads(self, tries: int) -> None:
        """Let tries live in threads of this process, each of which pauses before operations of the storage."""
        starts = sorted(self._rng.uniform(0.0, 1.0) for _ in range(tries))

        def live(number: int) -> int:
            time.sleep(starts[number - 1])
            return self._attempt(number, 0)

        pool = ThreadPoolExecutor(tries, initializer=_let_operators_execute)
        with self._in_this_process(), _pausing(self._rng), pool:
            self._note_statuses(pool.map(live, range(1, tries + 1)))

    def _attempt(self, number: int, max_tries: int) -> int:
        try:
            return attempt(self._batch.arguments, number, max_tries)
        except Exception:
            with self.log.open("a") as log:
                traceback.print_exc(file=log)
            return 1

    @contextmanager
    def _in_this_process(self) -> Iterator[None]:
        self._arena.place.attach()
        os.environ["AIRFLOW_CONN_APIMART_DEFAULT"] = self._batch.connection
        stop_noting = note_acknowledged_facts(self._acknowledged)
        try:
            yield
        finally:
            stop_noting()
            del os.environ["AIRFLOW_CONN_APIMART_DEFAULT"]

    def _run(self, number: int, max_tries: int = 0) -> int:
        """Do one try without rivals, and return its status."""
        if self._arena.in_threads:
            with self._in_this_process():
                return self._attempt(number, max_tries)
        return self._ended(self._batch.start(number, max_tries))

    def _ended(self, process: Any, *, may_be_killed: bool = False) -> int:
        process.join(_LONGEST)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"a try of seed {self.seed} didn't end:\n{self._last_words}")
        status = int(process.exitcode)
        self._note_statuses([] if may_be_killed and status == _KILLED else [status])
        return status

    def _note_statuses(self, statuses: Any) -> None:
        self._broken += [status for status in statuses if status not in (0, INCOMPLETE)]

    def _counted(self, tries: int, billed: int) -> Rivalry:
        self._arena.place.attach()
        name = file_name_of(task_identity(task_context()["ti"]))
        ledger = read(f"{self._destination}/{name}{LEDGER_SUFFIX}").decode()
        lines = [line for line in map(json.loads, ledger.splitlines()) if line["status"] == "completed"]
        files = {file["uri"]: file["sha256"] for line in lines for file in line["files"]}
        facts = FactFiles(ObjectStoragePath(self._destination) / FOLDER / name).load()
        known = {json.dumps(fact.to_json(), sort_keys=True) for fact in facts}
        return Rivalry(
            self.seed,
            tries,
            billed,
            self._sandbox.billed,
            len(lines),
            sum(hashlib.sha256(read(uri)).hexdigest() == sha256 for uri, sha256 in files.items()),
            len(set(self._acknowledged.read_text().splitlines()) - known),
            tuple(self._broken),
            self._last_words if self._broken else "",
        )


def _let_operators_execute() -> None:
    """Prepare a thread for Airflow 2, which executes operators only in the thread that has imported it."""
    if running < (3, 0):
        from airflow.models.baseoperator import ExecutorSafeguard  # type: ignore[import-not-found]  # Airflow 2

        ExecutorSafeguard._sentinel.callers = {}


def _send(process: Any, number: signal.Signals) -> None:
    if process.is_alive():
        os.kill(int(process.pid or 0), number)


@contextmanager
def _pausing(rng: random.Random) -> Iterator[None]:
    """Let threads pause at random before operations of the storage, as a process may be stopped between any two."""
    originals = {name: getattr(Folder, name) for name in ("names", "read", "write", "remove")}

    def pausing(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def operation(*arguments: Any) -> Any:
            if rng.random() < _PAUSED:
                time.sleep(rng.uniform(0.0, _LONGEST_PAUSE))
            return original(*arguments)

        return operation

    for name, original in originals.items():
        setattr(Folder, name, pausing(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(Folder, name, original)


def rival(seed: int) -> Rivalry:
    """Let tries of a batch live at once; S3 must be there if the seed asks for it."""
    settings = SandboxSettings(seconds=0.3, balance=None, seed=seed)
    with tempfile.TemporaryDirectory(prefix="rivals-") as name, Sandbox(settings) as sandbox:
        return Schedule(seed, sandbox, Path(name)).carry_out()


def main() -> int:
    """Print what broke and a table, and return 1 if the promise doesn't hold anywhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    chosen = parser.parse_args()
    schedules: Counter[Arena] = Counter()
    broken: Counter[Arena] = Counter()
    tries: Counter[Arena] = Counter()
    # What threads of this process log isn't of interest, unless something breaks.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with s3_server() as server:
        server.bucket(BUCKET)
        for seed in range(chosen.first, chosen.first + chosen.schedules):
            outcome, arena = rival(seed), arena_of(seed)
            schedules[arena] += 1
            tries[arena] += outcome.tries
            if not outcome.holds:
                broken[arena] += 1
                print(outcome, file=out, flush=True)
            if schedules.total() % _REPORTED == 0:
                print(f"{schedules.total()} schedules, {broken.total()} broken", file=out, flush=True)
    print(f"{'storage':<16}{'tries are':<14}{'schedules':>10}{'rivals':>8}{'broken':>8}", file=out)
    for arena in ARENAS:
        print(f"{arena}{schedules[arena]:>10}{tries[arena]:>8}{broken[arena]:>8}", file=out)
    print(f"{chosen.schedules} schedules of tries that lived at once; {broken.total()} broke the promise", file=out)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
