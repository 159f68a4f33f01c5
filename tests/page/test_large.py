"""A gallery of ten thousand items, small in memory. ``benchmarks.pages`` measures the time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_apimart.page_index.entry import State
from airflow_provider_apimart.plugin.gallery import PAGE_SIZE
from airflow_provider_apimart.plugin.ledgers import Ledgers
from tests.page import content

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

ITEMS = 10_000
MEGABYTES = 50


def megabytes() -> float:
    """Return what this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_the_first_page_of_ten_thousand_items(place: Path, viewer: TestClient, tmp_path: Path) -> None:
    content.large_batch("small", tmp_path / "small", 100)
    viewer.get("/gallery?dag_id=small")
    content.large_batch("large", tmp_path / "large", ITEMS)
    held = megabytes()
    reply = viewer.get("/gallery?dag_id=large")
    assert f"{ITEMS:,} items" in reply.text
    assert reply.text.count('<li class="card') == PAGE_SIZE
    for query in ("page=100", "q=number+77", "sort=cost&page=2", "status=completed"):
        assert viewer.get(f"/gallery?dag_id=large&{query}").status_code == 200
    assert megabytes() - held < MEGABYTES


def test_the_ledgers_that_are_kept_are_bounded(place: Path, tmp_path: Path) -> None:
    ledgers = Ledgers()
    entries = [content.large_batch(f"d{number}", tmp_path / str(number), 7_000) for number in range(4)]
    read = [ledgers.items(entry) for entry in entries]
    assert ledgers.items(entries[3]) is read[3]
    assert ledgers.items(entries[2]) is read[2]
    assert ledgers.items(entries[0]) is not read[0]
    assert sum(len(items.all) for _, items in ledgers._kept.values()) <= 20_000


def test_a_rewritten_ledger_is_read_again(place: Path, tmp_path: Path) -> None:
    ledgers = Ledgers()
    assert len(ledgers.items(content.large_batch("d", tmp_path, 3)).all) == 3
    assert len(ledgers.items(content.large_batch("d", tmp_path, 4)).all) == 4


def test_an_item_is_found_again_at_its_place_in_the_ledger(place: Path, tmp_path: Path) -> None:
    ledgers, entry = Ledgers(), content.large_batch("d", tmp_path, 50)
    for item in ledgers.items(entry).all:
        assert ledgers.said(entry, item)["id"] == item.id
    assert entry.state is State.FINISHED
