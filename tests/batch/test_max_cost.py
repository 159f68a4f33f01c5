"""``max_cost`` over real HTTP, compared with what the sandbox billed."""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.batch.summary import MaxFailures, raise_if_incomplete
from airflow_provider_apimart.durable.decision import OnUnknownOutcome
from airflow_provider_apimart.quotes import price_book
from airflow_provider_apimart.sandbox import Fault, Sandbox
from airflow_provider_apimart.sandbox.service.models import MODELS
from tests.batch.support import TASK, as_plan, entries, make, make_deferred, posts, statuses

PRICED = ("gemini-2.5-flash-image-preview", "gemini-3-pro-image-preview", "doubao-seedream-4-5", "gpt-image-1.5")


def of_many_prices(number: int, seed: int, *, fails: float = 0.0) -> list[dict[str, Any]]:
    """Return items of several models and numbers of pictures, some of which fail."""
    rng = random.Random(seed)
    items = []
    for position in range(number):
        model = rng.choice(PRICED)
        n = rng.randint(1, min(3, MODELS[model].max_n))
        hint = " [sandbox: fail]" if rng.random() < fails else ""
        items.append({"id": f"i{position}", "model": model, "n": n, "prompt": f"{position}{hint}"})
    return items


def without_prices(sandbox: Sandbox) -> None:
    """Let the price route refuse everybody."""
    sandbox.inject(Fault("forbidden", on="pricing", times=100_000))


def dearest(items: list[dict[str, Any]]) -> Decimal:
    return max(MODELS[item["model"]].cost(item) for item in items)


def test_with_one_price_the_limit_is_kept_and_used_up(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, [f"{each}" for each in range(60)], max_cost=Decimal("0.50"), max_in_flight=20)
    assert sandbox.dollars == Decimal("0.50")
    assert statuses(entries(tmp_path)).count("completed") == 25
    with pytest.raises(errors.ApimartBatchRefusedError, match=r"Stopped at max_cost: \$0\.50 of \$0\.50 spent"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)


def test_without_quotes_one_item_goes_at_a_time(sandbox: Sandbox, tmp_path: Path) -> None:
    without_prices(sandbox)
    make(sandbox, tmp_path, [f"{each}" for each in range(10)], max_cost=Decimal(1))
    assert len(sandbox.generations) == 10
    for earlier, later in itertools.pairwise(sandbox.generations):
        assert earlier.completed is not None
        assert later.created >= earlier.completed


def test_with_quotes_many_go_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, [f"{each}" for each in range(10)], max_cost=Decimal(1))
    first = sandbox.generations[0]
    assert first.completed is not None
    assert sum(each.created < first.completed for each in sandbox.generations) > 5


@pytest.mark.parametrize("has_quotes", [True, False])
def test_prices_that_differ_by_prompt_exceed_it_by_one_item_at_most(
    sandbox: Sandbox, tmp_path: Path, has_quotes: bool
) -> None:
    """The first item costs $0.01, the others five times as much: billed $4.96 of a limit of $1.00 in version 1.0.0."""
    sandbox.configure(seconds=0.02)
    if not has_quotes:
        without_prices(sandbox)
    model = "gemini-2.5-flash-image-preview"
    items = [{"prompt": "0", "model": model}, *({"prompt": f"{each}", "model": model} for each in range(1, 100))]
    sandbox.configure(price_factor=Decimal("0.5"))

    def dearer_after_the_first() -> None:
        while sandbox.billed < 1:
            time.sleep(0.001)
        sandbox.configure(price_factor=Decimal("2.5"))

    thread = threading.Thread(target=dearer_after_the_first)
    thread.start()
    # With quotes, what is in flight when the price rises isn't known to cost more.
    in_flight = 5
    make(sandbox, tmp_path, items, max_cost=Decimal(1), max_in_flight=in_flight)
    thread.join()
    assert sandbox.dollars <= Decimal(1) + (in_flight * Decimal("0.04") if has_quotes else Decimal("0.05"))


@pytest.mark.parametrize("ratio", ["0.8", "1", "1.25"])
@pytest.mark.parametrize("deferred", [False, True])
def test_what_the_account_pays_is_learnt(sandbox: Sandbox, tmp_path: Path, ratio: str, deferred: bool) -> None:
    sandbox.configure(account_ratio=Decimal(ratio), seconds=0.05)
    plan = as_plan([f"{each}" for each in range(80)], max_cost=Decimal("0.50"), max_in_flight=20)
    (make_deferred if deferred else make)(sandbox, tmp_path, plan)
    price = Decimal("0.02") * Decimal(ratio)
    assert sandbox.dollars == price * int(Decimal("0.50") / price)


def test_the_batch_is_quoted_before_it_is_paid(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    items = [*(f"{each}" for each in range(3)), {"prompt": "x", "model": "gpt-image-2-ext", "size": "auto"}]
    end = make(sandbox, tmp_path, items)
    assert "The batch is quoted at at most" not in caplog.text
    assert "The batch is quoted at: at most $0.09" in caplog.text
    assert end.manifest["quote"] == {
        "items": 4,
        "cost": 0.09,
        "certainty": "at_most",
        "without_quote": 0,
        "by_model": {
            "gemini-2.5-flash-image-preview": {"items": 3, "cost": 0.06, "without_quote": 0},
            "gpt-image-2-ext": {"items": 1, "cost": 0.03, "without_quote": 0},
        },
    }
    assert [entry.quote for entry in entries(tmp_path)][:1] == [{"cost": 0.02, "certainty": "exact", "reason": None}]


@pytest.mark.long
@pytest.mark.parametrize("has_quotes", [True, False])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("deferred", [False, True])
def test_many_prices_and_failures_keep_the_limit(
    sandbox: Sandbox, tmp_path: Path, seed: int, deferred: bool, has_quotes: bool
) -> None:
    sandbox.configure(seconds=0.05)
    if not has_quotes:
        without_prices(sandbox)
    items = of_many_prices(60, seed, fails=0.3)
    limit = Decimal(random.Random(seed).randint(20, 150)) / 100
    plan = as_plan(items, max_cost=limit, max_in_flight=16)
    for marker in range(3):
        plan = replace(plan, task=replace(TASK, clear_marker=marker), started_at=float(marker))
        if deferred:
            make_deferred(sandbox, tmp_path, plan)
        else:
            make(sandbox, tmp_path, plan)
        assert sandbox.dollars <= limit + (Decimal(0) if has_quotes else dearest(items))
        known = sum((entry.total_cost for entry in entries(tmp_path)), Decimal(0))
        assert known == sandbox.dollars


def test_it_counts_what_earlier_tries_have_spent(sandbox: Sandbox, tmp_path: Path) -> None:
    items = [f"{each}" for each in range(50)]
    for marker in range(3):
        make(sandbox, tmp_path, items, max_cost=Decimal("0.30"), task=replace(TASK, clear_marker=marker))
    assert sandbox.dollars == Decimal("0.30")
    make(sandbox, tmp_path, items, max_cost=Decimal("0.50"), task=replace(TASK, clear_marker=3))
    assert sandbox.dollars == Decimal("0.50")


def test_what_failed_is_refunded_and_leaves_room(sandbox: Sandbox, tmp_path: Path) -> None:
    items = [*("[sandbox: fail] " + str(each) for each in range(20)), *(str(each) for each in range(30))]
    make(sandbox, tmp_path, items, max_cost=Decimal("0.20"), max_in_flight=30)
    assert sandbox.dollars == Decimal("0.20")


def test_what_still_runs_is_reserved(sandbox: Sandbox, tmp_path: Path) -> None:
    """A generation that was left alone will cost something too."""
    stuck = [f"[sandbox: stuck] {each}" for each in range(3)]
    cats = [f"{each}" for each in range(30)]
    written = ["first", *stuck, *cats]
    for _ in range(2):
        make(sandbox, tmp_path, written, max_cost=Decimal("0.20"), max_in_flight=10, wait_seconds=0.6)
        assert sandbox.dollars <= Decimal("0.22")
    sandbox.complete_all()
    make(sandbox, tmp_path, written, max_cost=Decimal("0.20"), max_in_flight=10, wait_seconds=0.6)
    assert sandbox.dollars == Decimal("0.20")


def test_a_changed_input_leaves_what_still_runs_in_the_count(sandbox: Sandbox, tmp_path: Path) -> None:
    first = ["priced", *(f"[sandbox: stuck] {each}" for each in range(5))]
    make(sandbox, tmp_path, first, max_cost=Decimal("0.20"), wait_seconds=0.5)
    assert sandbox.dollars == Decimal("0.12")
    second = ["priced", *(f"{each}" for each in range(30))]
    make(sandbox, tmp_path, second, max_cost=Decimal("0.20"))
    sandbox.complete_all()
    assert sandbox.dollars == Decimal("0.20")


def test_items_dropped_from_the_list_stay_in_the_count(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, [{"id": f"old {each}", "prompt": "x"} for each in range(5)], max_cost=Decimal("0.20"))
    make(sandbox, tmp_path, [{"id": f"new {each}", "prompt": "x"} for each in range(20)], max_cost=Decimal("0.20"))
    assert sandbox.dollars == Decimal("0.20")


def test_where_no_price_is_given_the_first_item_is_the_last(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(dialect="older")
    without_prices(sandbox)
    for _ in range(3):
        end = make(sandbox, tmp_path, [f"{each}" for each in range(10)], max_cost=Decimal(1))
        assert posts(sandbox) == 1
        assert isinstance(end.stopped_by, errors.ApimartBatchRefusedError)
        assert "doesn't say what they cost" in str(end.stopped_by)


def test_one_model_with_a_price_serves_for_one_without(sandbox: Sandbox, tmp_path: Path) -> None:
    silent = "gemini-3-pro-image-preview"
    sandbox.configure(model_dialects={silent: "older"})
    without_prices(sandbox)
    items: list[object] = ["a cat", *({"prompt": f"{each}", "model": silent} for each in range(5)), "a dog", "a fox"]
    end = make(sandbox, tmp_path, items, max_cost=Decimal("0.50"))
    assert end.counts.completed == 8


def test_without_a_limit_no_price_matters(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(dialect="older")
    end = make(sandbox, tmp_path, [f"{each}" for each in range(10)])
    assert (end.counts.completed, end.manifest["cost"]) == (10, 0)


def test_nothing_is_submitted_for_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, ["a cat"], max_cost=Decimal(0))
    assert posts(sandbox) == 0
    assert "Stopped at max_cost: $0.00 of $0.00 spent" in str(end.stopped_by)


def test_what_was_lost_counts_as_spent_when_a_person_clears_the_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """Lost answers may have been charged; to pay for them again is within the limit only if both fit into it."""
    plan = as_plan([f"{each}" for each in range(60)], max_cost=Decimal("0.40"), max_in_flight=10)
    plan = replace(plan, on_unknown_outcome=OnUnknownOutcome.FAIL)
    sandbox.inject(Fault("lost_answer", on="submit", times=8))
    make(sandbox, tmp_path, plan)
    for marker in (7, 11, 15):
        make(sandbox, tmp_path, replace(plan, task=replace(TASK, clear_marker=marker), started_at=float(marker)))
    assert sandbox.dollars <= Decimal("0.40")


def test_an_item_that_an_unknown_outcome_holds_back_is_given_the_reason(sandbox: Sandbox, tmp_path: Path) -> None:
    plan = replace(
        as_plan(["lost", "held back"], max_in_flight=1, max_cost=Decimal("0.03")),
        on_unknown_outcome=OnUnknownOutcome.FAIL,
    )
    sandbox.inject(Fault("lost_answer", on="submit"))
    end = make(sandbox, tmp_path, plan)
    assert end.counts.statuses == {"unknown": 1, "not_submitted": 1}
    assert posts(sandbox) == 1
    with pytest.raises(errors.ApimartBatchRefusedError, match=r"\$0\.02 reserved for items whose outcome is unknown"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)


def test_what_is_paid_again_is_reserved_at_the_prices_of_today(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its earlier submit counts at the price of then."""
    plan = as_plan([f"{each}" for each in range(10)], max_cost=Decimal("0.40"), max_in_flight=10)
    plan = replace(plan, on_unknown_outcome=OnUnknownOutcome.FAIL)
    sandbox.inject(Fault("lost_answer", on="submit", times=10))
    make(sandbox, tmp_path, plan)
    assert sandbox.dollars == Decimal("0.20")
    sandbox.configure(price_factor=Decimal(5))
    make(sandbox, tmp_path, replace(plan, task=replace(TASK, clear_marker=7), started_at=time.time()))
    assert sandbox.dollars == Decimal("0.40")


def test_an_item_that_failed_is_submitted_again_at_the_prices_of_now(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_book, "KEPT_SECONDS", 0.0)
    sandbox.configure(seconds=0.3, price_factor=Decimal("0.5"))
    plan = as_plan([f"[sandbox: fail] {each}" for each in range(5)], max_cost=Decimal("0.10"), item_retries=1)

    def dearer_after_the_first() -> None:
        while len(sandbox.generations) < 5:
            time.sleep(0.01)
        sandbox.configure(price_factor=Decimal(100))

    thread = threading.Thread(target=dearer_after_the_first)
    thread.start()
    make(sandbox, tmp_path, plan)
    thread.join()
    assert posts(sandbox) == 5, "one at $2.00 doesn't fit into the limit"


def test_a_cost_of_nothing_is_not_believed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(price_factor=Decimal(0))
    end = make(sandbox, tmp_path, [f"{each}" for each in range(30)], max_cost=Decimal("0.20"))
    assert sandbox.billed == 1
    with pytest.raises(errors.ApimartBatchRefusedError, match="doesn't say what they cost"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
