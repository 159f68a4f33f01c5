"""
Kill the process with SIGKILL at random moments of saving 200 files, retry, and look at what is there.

``python -m tests.results.kill_sweep`` prints the table; the tests run a short form of it (``--short``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.results.hostile import Asked, head, hostile, picture, sha256

FILES = 200


@dataclass(frozen=True)
class Outcome:
    """
    What a kill led to.

    :param seconds: After which the process was killed.
    :param survived: Whether it had ended by then.
    :param complete: Files that were complete at the kill.
    :param saved: Files that are there after the retry, with the right content.
    :param fetched_again: Of those complete at the kill, how many the retry asked for.
    :param requests: Of the process that was killed and of the retry.
    :param left: Files that belong there and are no results or receipts.
    """

    seconds: float
    survived: bool
    complete: int
    saved: int
    fetched_again: int
    requests: int
    left: int

    @property
    def holds(self) -> bool:
        """Whether everything is there once, and nothing was fetched again that was complete."""
        return (self.saved, self.fetched_again, self.left) == (FILES, 0, 0)

    def __str__(self) -> str:
        return (
            f"{self.seconds:>9.3f}{'no' if self.survived else 'yes':>8}{self.complete:>10}{self.saved:>7}"
            f"{self.requests:>10}{self.fetched_again:>15}{self.left:>6}   {'holds' if self.holds else 'BROKEN'}"
        )


HEADER = f"{'seconds':>9}{'killed':>8}{'complete':>10}{'saved':>7}{'requests':>10}{'fetched again':>15}{'left':>6}"


def content(number: int) -> bytes:
    """Return one of the files."""
    return picture(2_000 + 700 * number, seed=number)


def _answer(asked: Asked) -> Iterator[bytes | float]:
    if asked.path == "/requests":
        counted = json.dumps(Counter(_requests)).encode()
        yield head(content_length=len(counted)) + counted
        return
    _requests.append(asked.path)
    file = content(int(asked.path.rpartition("/")[2]))
    yield head(content_length=len(file)) + file[: len(file) // 2]
    yield 0.004
    yield file[len(file) // 2 :]


_requests: list[str] = []


def _serve(tell: Connection) -> None:
    with hostile(_answer) as server:
        tell.send(server.url)
        tell.recv()


@contextmanager
def serving() -> Iterator[str]:
    """Serve the files from a process of its own, so that this one has no threads and can be forked."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    yield ours.recv()
    ours.send("stop")
    process.join()


def requests_to(url: str) -> Counter[str]:
    """Return how often each file was asked for."""
    with urllib.request.urlopen(f"{url}/requests") as reply:
        return Counter(json.load(reply))


def save_all(url: str, folder: Path) -> None:
    """Save all files as a task does."""
    from airflow_provider_apimart.transfers.apimart_to_object_storage import ApimartToObjectStorageOperator
    from tests.transfers.support import context

    os.environ["AIRFLOW_CONN_APIMART_DEFAULT"] = json.dumps({"conn_type": "apimart", "host": url, "password": "sk-x"})
    urls = [f"{url}/{folder.name}/{number}" for number in range(FILES)]
    done = [
        {"generation_id": f"task_{number}", "status": "completed", "outputs": [{"url": each}]}
        for number, each in enumerate(urls)
    ]
    operator = ApimartToObjectStorageOperator(task_id="save", generation=done, destination=str(folder))
    operator.execute(context())


def in_a_fork(work: Callable[[], None], kill_after: float | None = None) -> bool:
    """Let a fork of this process do something, and return whether it was killed before it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Airflow tells of every file.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in (0, -signal.SIGKILL):
        raise AssertionError(f"saving ended with {ended}")
    return ended == -signal.SIGKILL


def complete_in(folder: Path) -> list[int]:
    """Return the numbers of the files that are there with the right content."""
    return [
        number
        for number in range(FILES)
        if (path := folder / f"task_{number}_0.png").exists() and sha256(path.read_bytes()) == sha256(content(number))
    ]


def kill_and_retry(url: str, folder: Path, seconds: float) -> Outcome:
    """Save, kill, retry, and look."""
    killed = in_a_fork(lambda: save_all(url, folder), kill_after=seconds)
    complete, before = complete_in(folder), requests_to(url)
    in_a_fork(lambda: save_all(url, folder))
    asked_again = requests_to(url) - before
    mine = [path for path in requests_to(url).elements() if path.startswith(f"/{folder.name}/")]
    belongs = {f"task_{number}_0.png" for number in range(FILES)}
    left = [
        path for path in folder.rglob("*") if path.is_file() and path.name not in belongs and path.suffix != ".json"
    ]
    return Outcome(
        seconds=seconds,
        survived=not killed,
        complete=len(complete),
        saved=len(complete_in(folder)),
        fetched_again=sum(asked_again[f"/{folder.name}/{number}"] for number in complete),
        requests=len(mine),
        left=len(left),
    )


def sweep(kills: int, seed: int) -> Iterator[Outcome]:
    """Kill so many times, at moments spread over the time that it takes."""
    dice = random.Random(seed)
    with serving() as url, tempfile.TemporaryDirectory() as home:
        folders = (Path(home) / f"run{number}" for number in range(kills + 2))
        # The first warms this process up by nothing but its imports: forks share them.
        import airflow_provider_apimart.results.saver
        import airflow_provider_apimart.transfers.apimart_to_object_storage  # noqa: F401  # for the forks

        took = _seconds_of(url, next(folders))
        for number in range(kills):
            folder = next(folders)
            yield kill_and_retry(url, folder, took * (number + dice.random()) / kills)
            shutil.rmtree(folder, ignore_errors=True)


def _seconds_of(url: str, folder: Path) -> float:
    began = time.monotonic()
    in_a_fork(lambda: save_all(url, folder))
    return time.monotonic() - began


def report(outcomes: Iterable[Outcome]) -> int:
    """Print the table and return 1 if the promise doesn't hold anywhere."""
    print(f"SIGKILL while saving {FILES} files, then a retry\n\n{HEADER}")
    seen: list[Outcome] = []
    for outcome in outcomes:
        seen.append(outcome)
        print(outcome, flush=True)
    broken = [outcome for outcome in seen if not outcome.holds]
    killed = [outcome for outcome in seen if not outcome.survived]
    print(f"\n{len(killed)} of {len(seen)} runs were killed in time; {len(broken)} broke the promise")
    return 1 if broken or not killed else 0


def main() -> int:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="four kills instead of forty")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    return report(sweep(4 if arguments.short else 40, arguments.seed))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="apimart-sweep-") as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        sys.exit(main())
