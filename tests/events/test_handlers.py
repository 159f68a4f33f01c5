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
        (errors.ApimartModerationError, REFUSED, REFUSED),
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
    def outcome(generation: Any) -> dict[str, Any]:
        return counted(event(EventKind.FAILED, generation=generation, error=error("why")))

    without_id = generation_from_xcom({"generation_id": None, "status": "completed"})
    assert outcome(None) == ({before: 1} if before else {})
    assert outcome(RUNS) == outcome(without_id) == ({after: 1} if after else {})


def test_the_log_has_what_is_obtained_and_what_comes_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "task")
    handle = EventLog(logging.getLogger("task"))
    for kind in EventKind:
        handle(event(kind, generation=DONE))
        handle(event(kind))
    assert caplog.messages == [
        "Generation g of m, key P-1: completed",
        *["Generation g is completed for $0.05", "Generation g is completed but has no result"] * 2,
    ]


def test_an_event_cannot_be_changed_by_a_handler() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        event(EventKind.DELIVERED).generation = DONE  # type: ignore[misc]  # it is what the test is about
