"""Requests that change while their batch waits in the triggerer: templates are rendered anew each time it resumes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.batch.items import BatchItem, Shared, read_items
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.task_try import TryResult, run_try
from airflow_provider_apimart.hooks.reference_files import ReferenceFiles
from airflow_provider_apimart.operators.batch import ApimartBatchGenerationOperator
from airflow_provider_apimart.sandbox import Sandbox
from tests.batch.bare import execute, task_context
from tests.batch.support import MODEL, as_items, as_plan, entries, make, resumed, settings, statuses, triggered
from tests.results.hostile import picture

Written = Sequence[Mapping[str, Any]]


def make_rendered(
    sandbox: Sandbox, folder: Path, render: Callable[[], Written], items: Any = as_items, **changes: Any
) -> TryResult:
    """Do one try of a deferred batch whose requests are rendered anew in each leg."""
    plan: BatchPlan = replace(as_plan([], **changes), items=items(render()), parks=True)
    for _ in range(40):
        end = run_try(plan, settings(sandbox), str(folder), None)
        if not end.parked:
            return end
        plan = replace(resumed(plan, triggered(end, plan)), items=items(render()))
    raise AssertionError(f"still waiting, {sandbox.billed} billed")


class Rendering(ApimartBatchGenerationOperator):
    """The operator as Airflow resumes it: its requests are rendered anew."""

    def items(self) -> list[BatchItem]:
        """Return the items of this leg."""
        self.requests = seeded(6)()
        return super().items()


def test_the_operator_pays_once_for_a_random_value(sandbox: Sandbox, tmp_path: Path) -> None:
    operator = Rendering(
        task_id="generate", requests=[], model=MODEL, destination=str(tmp_path), deferrable=True, poll_interval=0.05
    )
    execute(operator, task_context())
    assert sandbox.billed == sandbox.accepted == 6
    assert len(list(tmp_path.glob("*.png"))) == 6


class Moving(ApimartBatchGenerationOperator):
    """The operator as Airflow resumes it: its destination has the time of the rendering in it."""

    def execute_complete(self, *arguments: Any, **given: Any) -> dict[str, Any]:
        """Continue in another destination."""
        self.destination = f"{self.destination}-later"
        return super().execute_complete(*arguments, **given)


def test_a_destination_that_renders_differently_is_that_of_the_beginning(sandbox: Sandbox, tmp_path: Path) -> None:
    requests = [{"prompt": f"a cat {each}"} for each in range(8)]
    operator = Moving(
        task_id="generate", requests=requests, model=MODEL, destination=str(tmp_path / "out"), deferrable=True,
        poll_interval=0.05, max_in_flight=4,
    )  # fmt: skip
    execute(operator, task_context())
    assert sandbox.billed == sandbox.accepted == sum(request.route == "submit" for request in sandbox.requests) == 8
    assert len(list((tmp_path / "out").glob("*.png"))) == 8
    assert [folder.name for folder in tmp_path.iterdir()] == ["out"]


def seeded(number: int, prompt: str = "a cat") -> Callable[[], Written]:
    """Return what renders a random seed, as ``{{ range(10000) | random }}`` does."""
    return lambda: [{"id": str(each), "prompt": prompt, "seed": random.randrange(10**9)} for each in range(number)]


@pytest.mark.parametrize("max_in_flight", [3, 100])
def test_a_random_value_is_paid_once_a_try(sandbox: Sandbox, tmp_path: Path, max_in_flight: int) -> None:
    end = make_rendered(sandbox, tmp_path, seeded(12), max_in_flight=max_in_flight)
    assert end.counts.completed == sandbox.billed == sandbox.accepted == 12
    assert not any(entry.earlier for entry in end.entries)


def test_what_fails_is_submitted_again_with_the_request_that_was_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    end = make_rendered(sandbox, tmp_path, seeded(6, "[sandbox: fail once] a cat"), item_retries=2)
    assert end.counts.completed == sandbox.billed == 6
    assert sandbox.accepted == 12
    assert len({generation.payload["seed"] for generation in sandbox.generations}) == 6


def test_a_refused_one_is_sent_once_a_try(sandbox: Sandbox, tmp_path: Path) -> None:
    number = itertools.count()
    end = make_rendered(
        sandbox,
        tmp_path,
        lambda: [{"id": "x", "prompt": f"[sandbox: refuse] {next(number)}"}, *seeded(6)()],
        max_in_flight=2,
    )
    assert statuses(end.entries) == ["moderated"] + ["completed"] * 6
    assert sum(request.route == "submit" for request in sandbox.requests) == 7


def test_items_that_vanish_are_finished_and_new_ones_are_made(sandbox: Sandbox, tmp_path: Path) -> None:
    lists = iter([["a", "b"], ["b", "c"], ["c"], ["c"], ["c"]])
    end = make_rendered(sandbox, tmp_path, lambda: [{"id": each, "prompt": each} for each in next(lists)])
    assert end.counts.completed == sandbox.billed == 3
    assert sorted(entry.id for entry in end.entries) == ["a", "b", "c"]


def test_an_emptied_file_loses_nothing_that_was_paid(sandbox: Sandbox, tmp_path: Path) -> None:
    lists = iter([["a", "b"], [], []])
    make_rendered(sandbox, tmp_path, lambda: [{"id": each, "prompt": each} for each in next(lists)])
    assert {entry.generation_id for entry in entries(tmp_path)} == {each.generation_id for each in sandbox.generations}


def test_a_generation_that_an_earlier_try_has_submitted_is_continued(sandbox: Sandbox, tmp_path: Path) -> None:
    """It was running when this try began, so nothing of it was sent since."""
    first = {"id": "a", "prompt": "[sandbox: stuck] a cat"}
    make(sandbox, tmp_path, as_plan([first], wait_seconds=0.2))
    rendered = iter([[first], [{"id": "a", "prompt": "a dog"}]])

    def render() -> Written:
        sandbox.complete_all()
        return next(rendered)

    end = make_rendered(sandbox, tmp_path, render)
    assert end.counts.completed == sandbox.billed == sandbox.accepted == 1


def test_a_new_try_takes_the_requests_as_they_are(sandbox: Sandbox, tmp_path: Path) -> None:
    for prompt in ("a cat", "a dog"):
        written = [{"id": "a", "prompt": prompt}]
        end = make_rendered(sandbox, tmp_path, partial(list, written))
    assert [entry.prompt for entry in end.entries] == ["a dog"]
    assert sandbox.billed == 2


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_changes_is_continued_with_its_upload(sandbox: Sandbox, tmp_path: Path, fails: bool) -> None:
    file, seeds = tmp_path / "reference.png", itertools.count()
    prompt = "[sandbox: fail once] a cat" if fails else "a cat"

    def render() -> Written:
        file.write_bytes(picture(3000, next(seeds)))
        return [{"id": "a", "prompt": prompt, "image_urls": [str(file)]}]

    def items(written: Written) -> Any:
        shared = Shared("apimart_default", Modality.IMAGE, {"model": MODEL}, request=ReferenceFiles().request)
        return read_items(written, shared)

    end = make_rendered(sandbox, tmp_path / "out", render, items, item_retries=1)
    assert end.counts.completed == sandbox.billed == 1
    assert sandbox.uploaded == 1
    assert len({tuple(generation.payload["image_urls"]) for generation in sandbox.generations}) == 1
