"""The ledger that an older try writes after a newer one has ended: what all tries have noted, not what it remembers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.batch import task_try
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.support import as_plan, ledger_lines, make

ITEMS: list[Any] = [
    {"id": "late", "prompt": "[sandbox: fail once] a cat"},
    {"id": "slow", "prompt": "a dog", "parameters": {"metadata": {"sandbox": {"seconds": 1.0}}}},
]


def before_writing(monkeypatch: pytest.MonkeyPatch, newer: Callable[[], object]) -> dict[str, Any]:
    """Run the newer try when the older one has checked the fence and is about to write."""
    write = task_try._write_results

    def stopped(*arguments: Any, **options: Any) -> str | None:
        monkeypatch.setattr(task_try, "_write_results", write)
        newer()
        return write(*arguments, **options)

    monkeypatch.setattr(task_try, "_write_results", stopped)
    return {}


def while_saving(monkeypatch: pytest.MonkeyPatch, newer: Callable[[], object]) -> dict[str, Any]:
    """Run the newer try while the older one saves its last item."""
    return {"save": lambda item, generation: [newer()][1:]}


@pytest.mark.parametrize("stop", [before_writing, while_saving])
def test_it_forgets_nothing_that_a_newer_try_has_made(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Any
) -> None:
    plan: BatchPlan = as_plan(ITEMS)

    def newer() -> None:
        assert make(sandbox, tmp_path, replace(plan, started_at=time.time(), item_retries=1)).counts.completed == 2

    older = make(sandbox, tmp_path, plan, **stop(monkeypatch, newer))
    lines = ledger_lines(tmp_path)
    assert [line["status"] for line in lines] == ["completed"] * 2
    assert sandbox.billed == 2
    if stop is while_saving:
        assert older.counts.completed == 2, "the manifest is of the same"
