"""
Charges of one submit by the operator under every fault, over real sockets and in a real Airflow.

``python -m tests.durable.fault_table`` prints the table of the peers for our operator, for a service that honours
the idempotency key and for one that ignores it; the tests run a short form of it.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from tests.lab import AirflowLab, Template

_LABS = 6
_ALWAYS = 1_000_000
# Pauses and kind of the operator, shortened: by default it would be asked to slow down for an hour.
_POLICY = {"first": 0.02, "longest": 0.1, "rate_limited_seconds": 2.0}


@dataclass(frozen=True)
class Trouble:
    """
    Something that goes wrong with a submit.

    :param kind: The sandbox's name of the fault, ``None`` where no one listens yet.
    :param arrives: Whether the service got the request and made the generation.
    :param passes: Whether the operator gets the result once the trouble is over.
    :param unknown: Whether the operator can't know from the answer if the generation runs.
    """

    name: str
    kind: str | None
    arrives: bool
    passes: bool = True
    unknown: bool = True
    options: dict[str, Any] = field(default_factory=dict, hash=False)


TROUBLES = (
    Trouble("lost answer", "lost_answer", arrives=True),
    Trouble("no answer", "no_answer", arrives=True),
    Trouble("truncated answer", "truncated", arrives=True),
    Trouble("reset", "reset", arrives=True),
    Trouble("garbage instead of HTTP", "garbage", arrives=True),
    Trouble("HTML page after accepting", "html_error", arrives=True),
    Trouble("408 after accepting", "request_timeout", arrives=True),
    Trouble("500 after accepting", "server_error", arrives=True),
    Trouble("502 after accepting", "bad_gateway", arrives=True),
    Trouble("503 after accepting", "unavailable", arrives=True),
    Trouble("504 after accepting", "gateway_timeout", arrives=True),
    Trouble("503 before accepting", "unavailable", arrives=False, options={"when": "before"}),
    Trouble("503 keys unavailable", "idempotency_unavailable", arrives=False, unknown=False),
    Trouble("409 in progress", "idempotency_in_progress", arrives=False, unknown=False),
    Trouble("409 indeterminate", "idempotency_result_indeterminate", arrives=True, passes=False),
    Trouble("409 key reused", "idempotency_key_reused", arrives=False, passes=False),
    Trouble("429, Retry-After seconds", "rate_limited", arrives=False, unknown=False),
    Trouble("429, Retry-After date", "rate_limited", arrives=False, unknown=False, options={"retry_after_date": True}),
    Trouble("400 channel busy", "get_channel_failed", arrives=False, unknown=False),
    Trouble("closed before reading", "closed_before_reading", arrives=False),
    Trouble("connection refused", None, arrives=False, unknown=False),
)


@dataclass(frozen=True)
class Case:
    """
    One cell of the table.

    :param always: Whether the trouble hits every submit, or only the first.
    :param honours_key: Whether the service honours the idempotency key.
    :param repeats: Whether the operator may repeat a submit whose outcome is unknown.
    """

    trouble: Trouble
    deferrable: bool = False
    always: bool = False
    honours_key: bool = True
    repeats: bool = True

    @property
    def dag_id(self) -> str:
        """The DAG of the lab that it runs."""
        if not self.repeats:
            return "lab_single_unrepeated"
        return f"lab_single_{'deferred' if self.deferrable else 'waiting'}"

    @property
    def delivers(self) -> bool:
        """Whether the result can reach the user."""
        return self.trouble.passes and not self.always and (self.repeats or not self.trouble.unknown)


@dataclass(frozen=True)
class Outcome:
    """
    What a case led to.

    :param posts: Submits that the service saw.
    :param billed: Generations that it made and charged.
    """

    case: Case
    posts: int
    billed: int
    delivered: bool

    @property
    def holds(self) -> bool:
        """Whether what is promised for the case was kept."""
        expected = int(self.case.trouble.arrives or self.case.delivers)
        counts = self.case.honours_key or not self.case.repeats
        return self.delivered == self.case.delivers and (not counts or self.billed == expected)


def try_out(lab: AirflowLab, case: Case) -> Outcome:
    """Run a DAG of one paid generation with three retries into a trouble, to its end."""
    with _service(case) as (sandbox, base_url):
        run = lab.start_run(case.dag_id)
        connection = {"conn_type": "apimart", "host": base_url, "password": "sk-sandbox-key"}
        run.drive(json.dumps(connection | {"extra": {"timeout": 0.5}}), policy=_POLICY)
        view = run.view("generate")
        delivered = view.state == "success" and view.returned["status"] == "completed"
        posts = sum(request.method == "POST" for request in sandbox.requests)
        return Outcome(case, posts, sandbox.billed, delivered)


@contextmanager
def _service(case: Case) -> Iterator[tuple[Sandbox, str]]:
    settings = SandboxSettings(seconds=0.3, ignore_idempotency=not case.honours_key, port=_free_port())
    sandbox = Sandbox(settings)
    if case.trouble.kind is None:
        starting = threading.Timer(3600 if case.always else 1.0, sandbox.start)
        starting.start()
        try:
            yield _Late(sandbox), f"http://127.0.0.1:{settings.port}"
        finally:
            starting.cancel()
            sandbox.stop()
        return
    with sandbox:
        times = _ALWAYS if case.always else 1
        sandbox.inject(Fault(case.trouble.kind, times=times, retry_after=0.1, **case.trouble.options))
        yield sandbox, sandbox.base_url


class _Late(Sandbox):
    """A sandbox that may not have been started at all, and has seen nothing then."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._late = sandbox

    @property
    def requests(self) -> Any:
        return self._late.requests if self._late.base_url else ()

    @property
    def billed(self) -> int:
        return self._late.billed if self._late.base_url else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def sweep(cases: Iterable[Case]) -> Iterator[Outcome]:
    """Try cases, in a few labs side by side."""
    waiting = list(cases)
    shares = [waiting[index::_LABS] for index in range(_LABS)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_LABS) as pool:
        for outcomes in pool.map(_share, shares, [Path(folder, f"lab{index}") for index in range(_LABS)]):
            yield from outcomes


def _share(cases: list[Case], home: Path) -> list[Outcome]:
    with AirflowLab(home, Template(home.parent / "template")) as lab:
        return [try_out(lab, case) for case in cases]


_COLUMNS = {
    "waiting, once": {"deferrable": False, "always": False},
    "deferred, once": {"deferrable": True, "always": False},
    "waiting, always": {"deferrable": False, "always": True},
    "once, on unknown: fail": {"repeats": False},
}


def main() -> int:
    """Print both tables and return 1 if the promise doesn't hold anywhere."""
    cases = [
        Case(trouble, honours_key=honours_key, **column)
        for honours_key in (True, False)
        for trouble in TROUBLES
        for column in _COLUMNS.values()
    ]
    outcomes = {outcome.case: outcome for outcome in sweep(cases)}
    for honours_key in (True, False):
        print(
            f"\nA service that {'HONOURS' if honours_key else 'IGNORES'} the idempotency key: billed / POSTs, result\n"
        )
        print(f"{'trouble':<28}", *(f"{column:<24}" for column in _COLUMNS), sep="")
        for trouble in TROUBLES:
            row = (outcomes[Case(trouble, honours_key=honours_key, **column)] for column in _COLUMNS.values())
            print(f"{trouble.name:<28}", *(f"{_cell(outcome):<24}" for outcome in row), sep="")
    broken = [outcome for outcome in outcomes.values() if not outcome.holds]
    print("\n'once': only the first submit is hit. 'always': every submit of all four tries of the task is.")
    print("'on unknown: fail': the operator has on_unknown_outcome=\"fail\".")
    print(f"{len(outcomes)} cases, {len(broken)} of them broke the promise", *broken, sep="\n")
    return 1 if broken else 0


def _cell(outcome: Outcome) -> str:
    result = "delivered" if outcome.delivered else "failed"
    return f"{outcome.billed} / {outcome.posts}, {result}{'' if outcome.holds else ' !'}"


if __name__ == "__main__":
    sys.exit(main())
