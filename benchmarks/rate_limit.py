"""
Throughput of a batch on a service with a rate limit that it doesn't publish, and beside random 429s without a limit.

``python -m benchmarks.rate_limit [--short]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings

# In these seconds, the rate is learnt.
FIRST_SECONDS = 10.0
RUN_SECONDS = 2.0
# Random refusals: the share of submits, and the batch.
REFUSED_SHARE = 0.02
ITEMS, IN_FLIGHT = 300, 20

_BATCH = """
import sys
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from tests.batch.bare import task_context
items = [{"prompt": f"Cat {number}"} for number in range(int(sys.argv[1]))]
operator = ApimartBatchGenerationOperator(
    task_id="generate", model="gemini-2.5-flash-image-preview", requests=items, max_in_flight=int(sys.argv[2])
)
operator.execute(task_context() | {"task": operator})
"""


@dataclass(frozen=True)
class Figures:
    """
    Requests that the service has counted.

    :param through: Requests a second that it let through after the first seconds, as a share of its limit.
    :param refused: Refused requests after the first seconds, as a share of all.
    :param refused_first: Refused requests in the first seconds.
    """

    through: float
    refused: float
    refused_first: int


def run_batch(sandbox: Sandbox, items: int, in_flight: int) -> None:
    """Run a batch in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_APIMART_DEFAULT": sandbox.connection_json(),
        }
        command = [sys.executable, "-c", _BATCH, str(items), str(in_flight)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    assert sandbox.billed == items, "429s must not change what is billed"


def measure(limit: float, seconds: float) -> Figures:
    """
    Run a batch that has always more to send than the service lets through.

    :param limit: Requests a second.
    :param seconds: Approximate duration.
    """
    # A generation takes a submit and some polls; enough items at once to send three times the limit.
    items, in_flight = int(limit * seconds / 3.5), max(20, int(limit * 2))
    settings = SandboxSettings(seconds=RUN_SECONDS, balance=Decimal(1_000_000), rate_limit=limit)
    with Sandbox(settings) as sandbox:
        run_batch(sandbox, items, in_flight)
        seen = [(request.time, request.route, request.status) for request in sandbox.requests]
    began = seen[0][0]
    # With the last submits, the demand falls below the limit.
    ended = max(time for time, route, _ in seen if route == "submit")
    late = [status for time, _, status in seen if began + FIRST_SECONDS <= time <= ended]
    refused = sum(status == HTTPStatus.TOO_MANY_REQUESTS for status in late)
    return Figures(
        through=(len(late) - refused) / (ended - began - FIRST_SECONDS) / limit,
        refused=refused / len(late),
        refused_first=sum(
            status == HTTPStatus.TOO_MANY_REQUESTS for time, _, status in seen if time < began + FIRST_SECONDS
        ),
    )


def throughput(share: float, seed: int) -> tuple[float, int]:
    """
    Run a batch of which some submits are refused at random, by a service without a limit.

    :param share: Share of the submits that are answered with 429 and ``Retry-After: 1``.
    :return: Generations a second from the first request to the last, and the number of refused submits.
    """
    settings = SandboxSettings(seconds=RUN_SECONDS, balance=Decimal(1_000_000), seed=seed)
    with Sandbox(settings) as sandbox:
        sandbox.inject(Fault("rate_limited", on="submit", share=share))
        run_batch(sandbox, ITEMS, IN_FLIGHT)
        seen = sandbox.requests
    refused = sum(request.status == HTTPStatus.TOO_MANY_REQUESTS for request in seen)
    return ITEMS / (seen[-1].time - seen[0].time), refused


def print_limits(*, short: bool) -> None:
    """Print what a batch gets through under limits."""
    limits, rounds, seconds = ((50,), 1, 25.0) if short else ((20, 50, 100), 3, 45.0)
    print(
        f"A batch, generations of {RUN_SECONDS:g} s; after the first {FIRST_SECONDS:g} s; medians of {rounds} rounds\n"
    )
    print(f"{'limit a second':>14}{'let through':>14}{'of the limit':>14}{'refused':>10}{'refused at first':>19}")
    for limit in limits:
        figures = [measure(limit, seconds) for _ in range(rounds)]
        through, refused = (
            statistics.median(getattr(each, name) for each in figures) for name in ("through", "refused")
        )
        first = statistics.median(each.refused_first for each in figures)
        print(f"{limit:>14}{through * limit:>14.1f}{through:>14.1%}{refused:>10.1%}{first:>19}", flush=True)


def print_random_refusals(*, short: bool) -> None:
    """Print the throughput with random 429s on submits as a share of the throughput without them."""
    rounds = 1 if short else 3
    print(f"\n{ITEMS} generations of {RUN_SECONDS:g} s, {IN_FLIGHT} in flight, no limit; medians of {rounds} rounds\n")
    print(f"{'429 on submits':>14}{'refused':>10}{'a second':>10}{'of the first':>14}")
    pairs = [(throughput(0.0, seed), throughput(REFUSED_SHARE, seed)) for seed in range(rounds)]
    rates = [statistics.median(pair[which][0] for pair in pairs) for which in (0, 1)]
    for which, share in enumerate((0.0, REFUSED_SHARE)):
        refused = statistics.median(pair[which][1] for pair in pairs)
        print(f"{share:>14.0%}{refused:>10.0f}{rates[which]:>10.2f}{rates[which] / rates[0]:>14.1%}", flush=True)


def main() -> None:
    """Print both tables, or one of them."""
    described = argparse.ArgumentParser()
    described.add_argument("--short", action="store_true", help="one round of less")
    described.add_argument("--only", choices=("limits", "random"), help="one of the two tables")
    asked = described.parse_args()
    if asked.only != "random":
        print_limits(short=asked.short)
    if asked.only != "limits":
        print_random_refusals(short=asked.short)


if __name__ == "__main__":
    main()
