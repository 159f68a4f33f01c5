"""Reservations, refunds, balances, idempotency and the rate limit."""

from __future__ import annotations

import threading
import time
from decimal import Decimal
from email.utils import parsedate_to_datetime

import pytest
import requests
from hypothesis import given, settings, strategies

from airflow_provider_apimart.sandbox import Fault, Sandbox, SandboxSettings
from airflow_provider_apimart.sandbox.service.billing import Billing
from airflow_provider_apimart.sandbox.service.generations import Generation
from airflow_provider_apimart.sandbox.service.settings import ApiKey

from .support import Client

START = Decimal(100)


def left(client: Client) -> Decimal:
    """Ask for the balance."""
    return Decimal(str(client.get("/v1/balance").json()["remain_balance"]))


def test_a_failed_job_is_refunded_in_full(client: Client, sandbox: Sandbox) -> None:
    client.task_id(n=2)
    client.task_id(prompt="[sandbox: fail]", n=4)
    assert (sandbox.accepted, sandbox.billed, sandbox.dollars, left(client)) == (2, 2, Decimal("0.30"), Decimal("99.7"))
    sandbox.advance(10)

    assert (sandbox.accepted, sandbox.billed, sandbox.dollars, left(client)) == (2, 1, Decimal("0.10"), Decimal("99.9"))
    assert [view.refunded for view in sandbox.generations] == [False, True]


def test_the_worst_case_is_reserved_and_the_rest_given_back(client: Client, sandbox: Sandbox) -> None:
    client.task_id(model="gpt-image-1.5", n=2)
    assert sandbox.dollars == Decimal("0.03808")
    sandbox.complete_all()

    assert sandbox.dollars == Decimal("0.00952")
    assert left(client) == START - Decimal("0.00952")


@pytest.mark.parametrize(
    ("body", "dollars"),
    [
        ({"resolution": "4K"}, "0.125"),
        ({"model": "doubao-seedream-4-5", "n": 3}, "0.09"),
        ({"kind": "videos"}, "0.35"),
        ({"kind": "videos", "duration": 10, "resolution": "1080p"}, "1.12"),
    ],
)
def test_prices(client: Client, body: dict[str, object], dollars: str) -> None:
    assert client.submit(**body).status_code == 200  # type: ignore[arg-type]  # a table of mixed arguments
    assert client.sandbox.dollars == Decimal(dollars)


def test_an_empty_balance_refuses_and_a_refund_fills_it(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(balance=Decimal("0.05"))
    task_id = client.task_id()
    assert client.submit().status_code == 402
    sandbox.fail(task_id, "given up")
    assert client.submit().status_code == 200

    assert (sandbox.accepted, sandbox.billed) == (2, 1)


def test_a_completed_job_that_is_failed_by_hand_is_refunded(client: Client, sandbox: Sandbox) -> None:
    task_id = client.finished()["id"]
    sandbox.fail(task_id, "banned prompt")

    assert client.get(f"/v1/tasks/{task_id}").json()["data"]["error"]["message"] == "banned prompt"
    assert (sandbox.billed, sandbox.dollars) == (0, Decimal(0))


JOBS = strategies.lists(
    strategies.tuples(strategies.integers(0, 50), strategies.integers(1, 9), strategies.booleans()), max_size=20
)


@settings(max_examples=60, deadline=None)
@given(jobs=JOBS, moment=strategies.integers(0, 60))
def test_the_balance_always_adds_up(jobs: list[tuple[int, int, bool]], moment: int) -> None:
    now = [0.0]
    billing = Billing([ApiKey("k", balance=Decimal(1000))], lambda: now[0])
    for number, (seconds, price, fails) in enumerate(jobs):
        failure = "x" if fails else None
        billing.accept(
            Generation(
                str(number), "image", "m", {}, "k", None, "r", 0, seconds, failure, Decimal(price), Decimal(price)
            )
        )
    now[0] = moment
    expected = sum((price for seconds, price, fails in jobs if not (fails and seconds <= moment)), 0)

    assert billing.dollars == expected
    assert billing.account("k").balance == 1000 - expected


def test_the_same_request_is_replayed(client: Client, sandbox: Sandbox) -> None:
    first, second = client.submit(key="k-1"), client.submit(key="k-1")

    assert first.content == second.content
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (sandbox.accepted, sandbox.billed, sandbox.generations[0].idempotency_key) == (1, 1, "k-1")


def test_a_reused_key_is_refused(client: Client, sandbox: Sandbox) -> None:
    client.submit(key="k-1")
    reply = client.submit(key="k-1", prompt="another")

    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert sandbox.accepted == 1


def test_a_key_counts_for_one_endpoint_and_one_api_key(client: Client, sandbox: Sandbox) -> None:
    client.submit(key="k-1")
    client.submit(key="k-1", kind="videos")
    client.submit(key="k-1", headers={"Authorization": "Bearer sk-sandbox-unlimited"})

    assert sandbox.accepted == 3


def test_a_key_is_forgotten_after_a_day(client: Client, sandbox: Sandbox) -> None:
    client.submit(key="k-1")
    sandbox.advance(86_399)
    client.submit(key="k-1")
    assert sandbox.accepted == 1
    sandbox.advance(1)
    client.submit(key="k-1")

    assert sandbox.accepted == 2


def test_a_key_may_be_ignored(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(ignore_idempotency=True)
    replies = [client.submit(key="k-1") for _ in range(3)]

    assert sandbox.accepted == 3
    assert not any("Idempotency-Replayed" in reply.headers for reply in replies)


def test_a_refused_request_leaves_its_key_free(client: Client, sandbox: Sandbox) -> None:
    assert client.submit(key="k-1", n=99).status_code == 500
    assert client.submit(key="k-1", n=1).status_code == 200
    assert sandbox.accepted == 1


def test_a_replay_needs_no_balance(client: Client, sandbox: Sandbox) -> None:
    client.submit(key="k-1")
    sandbox.configure(balance=Decimal(0))

    assert client.submit(key="k-1").status_code == 200


@pytest.mark.parametrize("key", ["a b", "x" * 192, "a\tb", "é"])
def test_refused_keys(client: Client, key: str) -> None:
    reply = client.submit(key=key)

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_idempotency_key")
    assert client.submit(key="~" * 191).status_code == 200


def test_a_request_in_progress_refuses_its_like(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject(Fault("delayed", seconds=1.2))
    first = threading.Thread(target=lambda: Client(sandbox).submit(key="k-1"))
    first.start()
    while not sandbox.accepted:
        time.sleep(0.01)
    meanwhile = client.submit(key="k-1")
    first.join()
    afterwards = client.submit(key="k-1")

    assert (meanwhile.status_code, meanwhile.json()["error"]["code"]) == (409, "idempotency_in_progress")
    assert meanwhile.headers["Retry-After"] in ("1", "2")
    assert afterwards.headers["Idempotency-Replayed"] == "true"
    assert sandbox.accepted == 1


def test_rate_limit_in_seconds(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(rate_limit=2)
    replies = [client.get("/v1/balance") for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].headers["Retry-After"] == "1"
    assert replies[2].json() == {
        "error": {"code": 429, "message": "Rate limit exceeded. Please try again later", "type": "rate_limit_error"}
    }
    sandbox.advance(1)
    assert client.get("/v1/balance").status_code == 200


def test_rate_limit_of_submits_as_a_date(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(submit_rate_limit=0.1, retry_after="date")
    first, second = client.submit(), client.submit()

    assert (first.status_code, second.status_code, client.get("/v1/balance").status_code) == (200, 429, 200)
    wait = parsedate_to_datetime(second.headers["Retry-After"]).timestamp() - time.time()
    assert 7 <= wait <= 10
    assert sandbox.accepted == 1


def test_rate_limit_without_a_hint(client: Client, sandbox: Sandbox) -> None:
    sandbox.configure(submit_rate_limit=1, retry_after="none")
    client.submit()

    assert "Retry-After" not in client.submit().headers


def test_many_clients_at_once_add_up() -> None:
    with Sandbox(SandboxSettings(seconds=0)) as busy:
        threads = [threading.Thread(target=lambda: [Client(busy).submit() for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (busy.accepted, busy.billed, busy.dollars) == (160, 160, Decimal("8.00"))
        assert requests.get(f"{busy.base_url}/_sandbox/state", timeout=5).json()["requests"] == {"submit": 160}
