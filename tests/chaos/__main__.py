"""
Run generations in an Airflow whose parts are killed at random, and count what was billed and what was saved.

``python -m tests.chaos [--short] [--seed N] [--version 3.1]`` needs PostgreSQL and Redis; ``make chaos`` installs them.
With a version it makes an environment for that one, whose records are on S3. It starts the servers,
a CeleryExecutor with two workers, a scheduler, a DAG processor, an API server and two triggerers on loopback, and runs
``dags/chaos.py``. Workers, triggerers and the scheduler are killed with SIGKILL, all connections to the database are
cut, and a tenth of all calls to APIMart's sandbox go wrong. It ends with 1 if a promise was broken, and leaves its logs
in ``.chaos`` then; nothing else stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from tests.chaos import postgres as postgres_server
from tests.chaos import redis as redis_server
from tests.chaos.account import Account, bill_of, saved_in
from tests.chaos.cluster import Cluster
from tests.chaos.injection import TARGETS, FaultInjection
from tests.chaos.plan import planned_faults
from tests.chaos.postgres import postgres
from tests.chaos.processes import Processes
from tests.chaos.redis import redis
from tests.chaos.run import Run
from tests.lab.fork_server import PROJECT
from tests.matrix import Environment
from tests.s3 import CONNECTION_ID, s3_server

_BUCKET = "chaos"
LOGS = PROJECT / ".chaos"
FAULTS = (
    "lost_answer",
    "no_answer",
    "truncated",
    "reset",
    "closed_before_reading",
    "server_error",
    "bad_gateway",
    "html_error",
    "unavailable",
    "gateway_timeout",
    "rate_limited",
)
FAULTY = 0.1
# The client's kind ends before a call that is never answered does.
PATIENCE, SILENCE = 4.0, 6.0
# Seconds between two faults, at least.
PAUSES = (3.0, 12.0)


@dataclass(frozen=True)
class Form:
    """
    How much of it.

    :param mapped: How many mapped generations; half of them wait on a worker, half in the triggerer.
    :param batch: How many items the batch has.
    :param longest: Seconds after which what hasn't ended counts as stuck.
    """

    mapped: int
    batch: int
    longest: float

    @property
    def generations(self) -> int:
        """How many generations it asks for."""
        return self.mapped + self.batch


LONG = Form(mapped=100, batch=300, longest=2400)
SHORT = Form(mapped=30, batch=60, longest=900)


def main() -> int:
    """Print the account; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="fewer generations")
    parser.add_argument("--seed", type=int, default=0, help="decides which part is killed when")
    parser.add_argument("--version", help="of Airflow, if not the one that runs this; its records are on S3")
    chosen = parser.parse_args()
    if missing := postgres_server.missing_program() or redis_server.missing_program():
        print(f"skipped: {missing} isn't installed, and can't be had here. Debian's packages: postgresql, redis-server")
        return 0
    signal.signal(signal.SIGTERM, stop)
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir()
    form = SHORT if chosen.short else LONG
    print(f"{form.mapped} mapped generations and a batch of {form.batch}; seed {chosen.seed} ...", flush=True)
    if chosen.version:
        environment = Environment(chosen.version, sys.executable, ("test", "chaos"))
        environment.build()
        with s3_server() as server:
            server.bucket(_BUCKET)
            records = {**server.variables, "AIRFLOW__APIMART__LEDGER_PATH": f"s3://{CONNECTION_ID}@{_BUCKET}/records"}
            account = chaos(form, chosen.seed, environment.interpreter, records)
    else:
        account = chaos(form, chosen.seed)
    print(account)
    if account.holds:
        shutil.rmtree(LOGS)
    return 0 if account.holds else 1


def chaos(
    form: Form, seed: int, python: str = sys.executable, records: Mapping[str, str] = MappingProxyType({})
) -> Account:
    """
    Run it all once.

    :param python: The interpreter whose Airflow it is.
    :param records: Variables that say where records are.
    """
    settings = SandboxSettings(seconds=6, balance=None, seed=seed)
    with (
        tempfile.TemporaryDirectory(prefix="apimart-chaos-") as name,
        Sandbox(settings, faults()) as sandbox,
        Processes(LOGS) as processes,
        postgres(processes) as database,
        redis(processes) as redis_port,
    ):
        folder = Path(name)
        environment = {
            "AIRFLOW_CONN_APIMART_DEFAULT": connection(sandbox),
            "APIMART_CHAOS_PICTURES": str(folder / "pictures"),
            "APIMART_CHAOS_MAPPED": str(form.mapped),
            "APIMART_CHAOS_BATCH": str(form.batch),
            **records,
        }
        with Cluster(folder, LOGS, processes, database, redis_port, environment, python) as cluster:
            run, began = Run(database), time.monotonic()
            counts = FaultInjection(cluster, database, run).carry_out(
                planned_faults(TARGETS, PAUSES, seed), form.longest
            )
            seconds = time.monotonic() - began
        return Account(
            selected=form.generations,
            seconds=seconds,
            counts=counts,
            bill=bill_of(sandbox),
            saved=saved_in(folder / "pictures", run.saved),
            tasks=run.tasks,
        )


def stop(number: int, _: object) -> NoReturn:
    """End in order, once: a second signal mustn't keep the first one from cleaning up."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(f"stopped by {signal.Signals(number).name}")


def faults() -> Iterator[Fault]:
    """Return faults of all kinds that together hit the selected share of all calls."""
    # Each kind is drawn after the ones before it have passed a call by.
    share = 1 - (1 - FAULTY) ** (1 / len(FAULTS))
    for kind in FAULTS:
        yield Fault(kind, on="any", share=share, seconds=SILENCE)


def connection(sandbox: Sandbox) -> str:
    """Return the connection to APIMart as JSON, with a kind that suits a sandbox."""
    return json.dumps({**json.loads(sandbox.connection_json()), "extra": {"timeout": PATIENCE}})


if __name__ == "__main__":
    sys.exit(main())
