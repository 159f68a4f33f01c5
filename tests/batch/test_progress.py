from __future__ import annotations

import re
import time

from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.progress import BatchProgress
from airflow_provider_apimart.batch.summary import BatchCounts, count_items
from airflow_provider_apimart.durable.item_status import ItemStatus


def counts(done: int, running: int = 0, waiting: int = 0) -> BatchCounts:
    statuses = [ItemStatus.COMPLETED] * done + [ItemStatus.RUNNING] * running + [ItemStatus.NOT_SUBMITTED] * waiting
    made = ({"url": "https://files.example/1.png"},)
    return count_items((LedgerEntry(f"{i}", i, status, outputs=made) for i, status in enumerate(statuses)), saves=False)


def test_a_night_makes_hardly_more_than_a_hundred_lines() -> None:
    progress, now, lines = BatchProgress(), time.monotonic(), 0
    end = now + 8 * 3600
    while now < end:
        pause = progress.seconds_to_next_line(now)
        assert 10 <= pause <= 300
        now += pause
        lines += 1
    assert lines < 130


def test_the_first_line_promises_no_end() -> None:
    line = BatchProgress().line(counts(5, 10, 85), 10, time.monotonic())
    assert line == "5 of 100 items completed, 10 still running, 85 not submitted, for $0.00; 10 in flight"


def test_the_end_follows_from_the_rate_of_this_try() -> None:
    progress, began = BatchProgress(), time.monotonic()
    progress.line(counts(500, 0, 500), 0, began)
    line = progress.line(counts(600, 0, 400), 50, began + 60)
    assert re.search(r"; 50 in flight; at this pace it ends at \d\d:\d\d UTC, in 4 min$", line)
    assert progress.line(counts(990, 0, 10), 5, began + 294).endswith("in 6 s")
    assert progress.line(counts(501, 0, 499), 5, began + 60).endswith("in 8 h")


def test_without_anything_new_no_end_is_guessed() -> None:
    progress, began = BatchProgress(), time.monotonic()
    progress.line(counts(500, 0, 500), 0, began)
    assert progress.line(counts(500, 50, 450), 50, began + 60).endswith("50 in flight")
