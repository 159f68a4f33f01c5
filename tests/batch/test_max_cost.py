"""``max_cost`` over real HTTP: the sandbox's dollars are the judge."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.batch.summary import MaxFailures, raise_if_incomplete
from airflow_provider_apimart.durable.decision import OnUnknownOutcome
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


def dearest(items: list[dict[str, Any]]) -> Decimal:
    return max(MODELS[item["model"]].cost(item) for item in items)


def test_with_one_price_the_limit_is_kept_and_used_up(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make(sandbox, tmp_path, [f"{each}" for each in range(60)], max_cost=Decimal("0.50"), max_in_flight=20)
    assert sandbox.dollars == Decimal("0.50")
    assert statuses(entries(tmp_path)).count("completed") == 25
    with pytest.raises(errors.ApimartBatchRefusedError, match=r"max_cost of \$0\.50 is reached: \$0\.50 are spent"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)


def test_the_first_item_goes_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    make(sandbox, tmp_path, [f"{each}" for each in range(10)], max_cost=Decimal(1))
    first, second = sandbox.generations[:2]
    assert first.completed is not None
    assert second.created >= first.completed


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("deferred", [False, True])
def test_many_prices_and_failures_exceed_it_by_less_than_one_item(
    sandbox: Sandbox, tmp_path: Path, seed: int, deferred: bool
) -> None:
    sandbox.configure(seconds=0.05)
    items = of_many_prices(60, seed, fails=0.3)
    limit = Decimal(random.Random(seed).randint(20, 150)) / 100
    plan = as_plan(items, max_cost=limit, max_in_flight=16)
    for marker in range(3):
        plan = replace(plan, task=replace(TASK, clear_marker=marker), started_at=float(marker))
        if deferred:
            make_deferred(sandbox, tmp_path, plan)
        else:
            make(sandbox, tmp_path, plan)
        assert sandbox.dollars <= limit + dearest(items)
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


def test_where_no_price_is_told_the_first_item_is_the_last(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(dialect="older")
    for _ in range(3):
        end = make(sandbox, tmp_path, [f"{each}" for each in range(10)], max_cost=Decimal(1))
        assert posts(sandbox) == 1
        assert isinstance(end.stopped_by, errors.ApimartBatchRefusedError)
        assert "doesn't say what generations cost" in str(end.stopped_by)


def test_one_model_that_tells_its_price_serves_for_one_that_does_not(sandbox: Sandbox, tmp_path: Path) -> None:
    silent = "gemini-3-pro-image-preview"
    sandbox.configure(model_dialects={silent: "older"})
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
    assert "max_cost of $0 is reached" in str(end.stopped_by)


def test_what_was_lost_counts_as_spent_when_a_person_clears_the_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """Lost answers may have been charged; to pay for them again is within the limit only if both fit into it."""
    plan = as_plan([f"{each}" for each in range(60)], max_cost=Decimal("0.40"), max_in_flight=10)
    plan = replace(plan, on_unknown_outcome=OnUnknownOutcome.FAIL)
    sandbox.inject(Fault("lost_answer", on="submit", times=8))
    make(sandbox, tmp_path, plan)
    for marker in (7, 11, 15):
        make(sandbox, tmp_path, replace(plan, task=replace(TASK, clear_marker=marker), started_at=float(marker)))
    assert sandbox.dollars <= Decimal("0.40")


def test_a_cost_of_nothing_is_not_believed(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.configure(price_factor=Decimal(0))
    end = make(sandbox, tmp_path, [f"{each}" for each in range(30)], max_cost=Decimal("0.20"))
    assert sandbox.billed == 1
    with pytest.raises(errors.ApimartBatchRefusedError, match="doesn't say what generations cost"):
        raise_if_incomplete(end.counts, end.entries, MaxFailures(0), end.stopped_by)
