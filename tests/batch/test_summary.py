from __future__ import annotations

import json
from decimal import Decimal

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.summary import MaxFailures, count_items, describe, failures, raise_if_incomplete
from airflow_provider_apimart.durable.item_status import ItemStatus

S = ItemStatus


def entries(*statuses: ItemStatus) -> list[LedgerEntry]:
    return [
        LedgerEntry(f"item-{number}", number, status, reason=f"because {status}")
        if status is not S.COMPLETED
        else LedgerEntry(f"item-{number}", number, status, outputs=({"url": "https://files.example/1.png"},))
        for number, status in enumerate(statuses)
    ]


def concluded(
    found: list[LedgerEntry],
    allowed: int | float = 0,
    stopped_by: errors.ApimartError | None = None,
    *,
    saves: bool = False,
) -> errors.ApimartError | None:
    try:
        raise_if_incomplete(count_items(found, saves=saves), found, MaxFailures(allowed), stopped_by)
    except errors.ApimartError as error:
        return error
    return None


@pytest.mark.parametrize("status", [S.UNKNOWN, S.RUNNING, S.FAILED, S.NOT_SUBMITTED])
def test_what_a_retry_may_change_is_retried(status: ItemStatus) -> None:
    error = concluded(entries(S.COMPLETED, status, S.REFUSED))
    assert type(error) is errors.ApimartBatchIncompleteError
    assert "A retry or a clear of the task continues with the missing items" in error.message


def test_what_was_refused_is_not_retried() -> None:
    error = concluded(entries(S.COMPLETED, S.REFUSED))
    assert isinstance(error, errors.ApimartBatchRefusedError)
    assert isinstance(error, AirflowFailException)
    assert "because refused (such as item 'item-1')" in error.message


def test_what_is_not_saved_is_missing_and_retried() -> None:
    found = [LedgerEntry("a", 0, S.COMPLETED, outputs=({"url": "u"},), reason="the disk is full")]
    assert concluded(found) is None
    error = concluded(found, saves=True)
    assert type(error) is errors.ApimartBatchIncompleteError
    assert "1 not saved" in error.message


@pytest.mark.parametrize("allowed", [0, 0.0, 3, 0.5, 1.0])
def test_moderation_refusals_are_data(allowed: int | float) -> None:
    assert concluded(entries(S.MODERATED, S.MODERATED, S.COMPLETED), allowed) is None


@pytest.mark.parametrize(
    ("allowed", "most"), [(0, 0), (1, 1), (3, 3), (0.0, 0), (0.1, 1), (0.25, 2), (0.19, 1), (1.0, 10)]
)
def test_max_failures_is_a_count_or_a_share(allowed: int | float, most: int) -> None:
    for missing in range(11):
        found = entries(*[S.FAILED] * missing, *[S.COMPLETED] * (10 - missing))
        assert (concluded(found, allowed) is None) == (missing <= most)


def test_what_stopped_the_submitting_is_raised_with_the_counts() -> None:
    stopped = errors.ApimartBalanceError("the account is empty", status=402)
    error = concluded(entries(S.COMPLETED, S.FAILED, S.NOT_SUBMITTED), 1, stopped)
    assert error is stopped
    assert "the account is empty. 1 of 3 items completed, 1 failed, 1 not submitted" in str(error)
    assert "2 missing, 1 allowed by max_failures" in str(error)


def test_what_stopped_the_submitting_does_not_matter_if_enough_is_made() -> None:
    assert concluded(entries(S.COMPLETED, S.NOT_SUBMITTED), 1, errors.ApimartBalanceError("empty")) is None


def test_only_the_most_frequent_reasons_are_named() -> None:
    found = [LedgerEntry(f"{number}", number, S.FAILED, reason=f"reason {number % 50}") for number in range(5000)]
    error = concluded(found)
    assert error is not None
    assert len(error.message) < 1000


def test_the_first_failures_are_listed_by_id_and_reason() -> None:
    found = entries(S.COMPLETED, S.FAILED, S.REFUSED, S.MODERATED, S.UNKNOWN, S.RUNNING, S.NOT_SUBMITTED)
    unsaved = LedgerEntry("last", 7, S.COMPLETED, reason="the disk is full")
    assert failures([*found, unsaved]) == [
        "Item 'item-1' failed: because failed",
        "Item 'item-2' was refused: because refused",
        "Item 'item-3' was refused by moderation: because moderated",
        "Item 'item-4' is of unknown outcome: because unknown",
        "Item 'item-5' is still running: because running",
        "Item 'item-6' is not submitted: because not_submitted",
        "Item 'last' is completed but not saved: the disk is full",
    ]


@pytest.mark.parametrize(
    ("failed", "lines", "last"),
    [
        (0, 0, None),
        (10, 10, None),
        (11, 11, "1 more item: see the ledger"),
        (5000, 11, "4,990 more items: see the ledger"),
    ],
)
def test_only_ten_failures_are_listed(failed: int, lines: int, last: str | None) -> None:
    listed = failures(entries(*[S.FAILED] * failed))
    assert len(listed) == lines
    assert last is None or listed[-1] == last


def test_counts_cost_and_files_are_counted() -> None:
    found = [
        LedgerEntry("a", 0, S.COMPLETED, outputs=({},), files=({"uri": "x"},), cost=Decimal("0.02")),
        LedgerEntry("b", 1, S.COMPLETED, outputs=({}, {}), files=({"uri": "y"},), cost=Decimal("0.1")),
        LedgerEntry("c", 2, S.FAILED, earlier=({"cost": 1.5},)),
        LedgerEntry("d", 3, S.RUNNING),
        LedgerEntry("e", 4, S.REUSED, files=({"uri": "z"},), cost=Decimal(0), saved_cost=Decimal("0.3")),
    ]
    counts = count_items(found, saves=True)
    assert counts.to_json() == {
        "items": 5,
        "not_submitted": 0,
        "unknown": 0,
        "running": 1,
        "completed": 2,
        "failed": 1,
        "refused": 0,
        "moderated": 0,
        "reused": 1,
        "unsaved": 1,
        "files": 3,
        "cost": 1.62,
        "saved_cost": 0.3,
    }
    assert (counts.missing, counts.ended) == (3, 4)
    said = "3 of 5 items completed, 1 of them reused, 1 failed, 1 still running, 1 not saved, for $1.62"
    assert describe(counts) == said


def test_a_submit_without_a_reply_yet_is_running() -> None:
    found = entries(S.UNKNOWN, S.UNKNOWN, S.COMPLETED)
    assert count_items(found, saves=False, in_flight={"item-0"}).statuses == {
        S.RUNNING: 1,
        S.UNKNOWN: 1,
        S.COMPLETED: 1,
    }
    assert count_items(found, saves=False).statuses == {S.UNKNOWN: 2, S.COMPLETED: 1}


def test_a_manifest_of_thousands_is_small() -> None:
    counts = count_items(entries(*[S.COMPLETED] * 10_000), saves=False)
    assert len(json.dumps(counts.to_json())) < 300
