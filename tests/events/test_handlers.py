"""Handlers of events: what each of them reports of every kind of event."""

from __future__ import annotations

import logging
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import generation_from_xcom
from airflow_provider_apimart.events.generation_event import EventKind, GenerationEvent
from airflow_provider_apimart.events.log import EventLog
from airflow_provider_apimart.events.metrics import (
    COMPLETED,
    DOLLARS,
    FAILED,
    REFUSED,
    REUSED,
    SAVED_DOLLARS,
    SUBMITTED,
    GenerationMetrics,
)

DONE = generation_from_xcom({"generation_id": "g", "status": "completed", "cost": 0.05, "key": "P-1"})
RUNS = generation_from_xcom({"generation_id": "g", "status": "processing"})


class CountingStats(Counter[str]):
    """Stands in for Airflow's statistics, which are read once in a process."""

    def incr(self, name: str, count: float = 1, *, tags: dict[str, str]) -> None:
        assert tags == {"dag_id": "d", "task_id": "t", "modality": "image", "model": "m"}
        self[name] += count  # type: ignore[assignment]  # dollars are fractions


def counted(event: GenerationEvent) -> dict[str, Any]:
    metrics, stats = GenerationMetrics("d", "t"), CountingStats()
    metrics._stats = stats
    metrics(event)
    return dict(stats)


def event(kind: EventKind, **known: Any) -> GenerationEvent:
    return GenerationEvent(kind, "image", "m", **known)


def test_each_kind_is_counted_as_one_thing() -> None:
    by_kind = {kind: counted(event(kind, generation=DONE, saved_cost=Decimal("0.05"))) for kind in EventKind}
    assert by_kind.pop(EventKind.SUBMITTED) == {SUBMITTED: 1}
    assert by_kind.pop(EventKind.COMPLETED) == {COMPLETED: 1, DOLLARS: 0.05}
    assert by_kind.pop(EventKind.REUSED) == {REUSED: 1, SAVED_DOLLARS: 0.05}
    assert not any(by_kind.values())


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (errors.ApimartGenerationFailedError, FAILED, FAILED),
        (errors.ApimartWatchedGenerationFailedError, FAILED, FAILED),
        (errors.ApimartModerationError, REFUSED, None),
        (errors.ApimartInvalidRequestError, REFUSED, None),
        (errors.ApimartAuthenticationError, REFUSED, None),
        (errors.ApimartBalanceError, REFUSED, None),
        (errors.ApimartPermissionError, REFUSED, None),
        (errors.ApimartDownloadError, None, None),
        (errors.ApimartWaitTimeoutError, None, None),
    ],
)
def test_a_refused_read_refuses_no_generation(
    error: type[errors.ApimartError], before: str | None, after: str | None
) -> None:
    status = None if error.outcome == "failed" else 403

    def outcome(generation: Any) -> dict[str, Any]:
        return counted(event(EventKind.FAILED, generation=generation, error=error("why", status=status)))

    without_id = generation_from_xcom({"generation_id": None, "status": "completed"})
    assert outcome(None) == ({before: 1} if before else {})
    assert outcome(RUNS) == outcome(without_id) == ({after: 1} if after else {})


def test_what_the_provider_refuses_by_itself_is_no_generation() -> None:
    said = errors.ApimartInvalidRequestError("the prompt is empty"), errors.ApimartArgumentError("no such field")
    assert not any(counted(event(EventKind.FAILED, error=error)) for error in said)


def test_a_generation_that_moderation_has_ended_is_refused() -> None:
    error = errors.ApimartModerationError("no")
    assert counted(event(EventKind.FAILED, generation=RUNS, error=error)) == {REFUSED: 1}


@pytest.mark.parametrize("kind", [EventKind.COMPLETED, EventKind.REUSED, EventKind.FAILED])
def test_what_an_earlier_try_has_reported_is_not_counted_again(kind: EventKind) -> None:
    error = errors.ApimartGenerationFailedError("no")
    assert not counted(event(kind, generation=DONE, error=error, saved_cost=Decimal(1), is_first=False))


def test_the_log_has_what_is_obtained_and_what_comes_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "task")
    handle = EventLog(logging.getLogger("task"))
    with_url = [{"url": "https://files.example/cat.png", "kind": "image"}]
    of_kind = {
        EventKind.REUSED: generation_from_xcom(DONE.to_xcom() | {"reused": "old"}),
        EventKind.AVAILABLE: generation_from_xcom(DONE.to_xcom() | {"outputs": with_url}),
    }
    for kind in EventKind:
        handle(event(kind, generation=of_kind.get(kind, DONE)))
        handle(event(kind))
    assert caplog.messages == [
        "Generation g of m, key P-1: completed",
        "Generation g is completed for $0.05",
        "Generation g is completed but has no result",
        "Generation old is reused from the library at no cost",
        "Result 1 of 1: https://files.example/cat.png",
    ]


def test_an_event_cannot_be_changed_by_a_handler() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        event(EventKind.DELIVERED).generation = DONE  # type: ignore[misc]  # it is what the test is about
