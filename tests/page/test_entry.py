"""Entries of the index, however they were written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.page_index.entry import (
    DaySpending,
    IndexEntry,
    Kind,
    Outcome,
    State,
    entry_from_json,
    spending_of,
)
from airflow_provider_apimart.page_index.writing import IndexFile
from airflow_provider_apimart.plugin.index import Index
from airflow_provider_apimart.plugin.items import item_of

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MONEY = st.none() | st.decimals(0, 1000, places=4)
TEXTS = st.text(min_size=1, max_size=20).filter(lambda each: each.strip() == each and each.isprintable())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "kind",
    "dag_id",
    "task_id",
    "run_id",
    "state",
    "counts",
    "spending",
    "item",
    "files",
    "cost",
    "began",
    "ledger",
)
ITEM_FIELDS = (
    "id",
    "status",
    "prompt",
    "cost",
    "quote",
    "files",
    "outputs",
    "earlier",
    "completed",
    "position",
    "model",
)


@given(st.builds(
    IndexEntry,
    name=st.just("a"),
    kind=st.sampled_from(Kind),
    dag_id=TEXTS,
    task_id=TEXTS,
    run_id=TEXTS,
    map_index=st.integers(-1, 1000),
    state=st.sampled_from(State),
    began=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    counts=st.none() | st.dictionaries(TEXTS, st.integers(0, 10**6), min_size=1, max_size=4),
    in_flight=st.integers(0, 1000),
    cost=MONEY,
    quoted=MONEY,
    spending=st.lists(
        st.builds(DaySpending, day=st.just("2026-11-26"), model=TEXTS, generations=st.integers(0, 99)), max_size=3
    ).map(tuple),
))  # fmt: skip
def test_an_entry_is_read_as_it_was_written(entry: IndexEntry) -> None:
    assert entry_from_json("a", json.loads(json.dumps(entry.to_json()))) == entry


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING | st.just("batch") | st.just("generation")))
def test_an_entry_of_any_content_is_read_or_left_out(said: dict[str, Any]) -> None:
    entry = entry_from_json("a", said)
    if entry:
        assert all((entry.dag_id, entry.task_id, entry.run_id))
        json.dumps(entry.to_json())


@given(st.dictionaries(st.sampled_from(ITEM_FIELDS), ANYTHING))
def test_an_item_of_any_content_is_read_or_left_out(said: dict[str, Any]) -> None:
    item = item_of(said)
    if item:
        assert item.id
        assert item.cost is None or item.cost.is_finite()
        assert item.time >= 0 or item.time < 0
        assert item.short_reason is None


OUTCOMES = st.lists(
    st.builds(
        Outcome,
        status=st.sampled_from(["completed", "failed", "reused", "running", "dreaming"]),
        model=st.sampled_from(["a", "b", None]),
        completed=st.sampled_from([None, "2026-11-25T10:00:00+00:00", "2026-11-26T10:00:00+00:00"]),
        cost=MONEY,
        quoted=MONEY,
        saved=MONEY,
    )
)


@given(OUTCOMES)
def test_no_dollar_is_lost_in_the_sums(outcomes: list[Outcome]) -> None:
    rows = spending_of(outcomes, NOW)
    assert sum(row.cost for row in rows) == sum(each.cost or 0 for each in outcomes)
    assert sum(row.generations for row in rows) == sum(each.status == "completed" for each in outcomes)
    assert sum(row.reused for row in rows) == sum(each.status == "reused" for each in outcomes)
    assert sum(row.saved for row in rows) == sum(each.saved or 0 for each in outcomes if each.status == "reused")
    assert len({(row.day, row.model) for row in rows}) == len(rows)


def test_an_entry_is_replaced_by_its_next_writing(tmp_path: Path) -> None:
    file = IndexFile(str(tmp_path))
    for cost in (1, 2):
        file.write(IndexEntry("a", Kind.BATCH, "d", "t", "r", cost=Decimal(cost)))
    assert len(list(tmp_path.rglob("*.json"))) == 1
    (known,) = Index(str(tmp_path)).entries().values()
    assert known.entry.dag_id == "d"
    assert known.entry.cost == 2


def test_a_storage_that_cannot_be_written_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "index").write_text("a file where a directory should be")
    file = IndexFile(str(tmp_path))
    for _ in range(3):
        file.write(IndexEntry("a", Kind.BATCH, "d", "t", "r"))
    assert [record.message for record in caplog.records if "will lack this task" in record.message] != []
    assert len([record for record in caplog.records if "will lack this task" in record.message]) == 1


def test_a_storage_that_hangs_holds_up_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import threading

    from airflow_provider_apimart.durable.folder import Folder

    released = threading.Event()
    monkeypatch.setattr("airflow_provider_apimart.page_index.writing._LONGEST_WRITE", 0.1)
    monkeypatch.setattr(Folder, "write", lambda *_: released.wait(30))
    IndexFile(str(tmp_path)).write(IndexEntry("a", Kind.BATCH, "d", "t", "r"))
    released.set()
    assert "hasn't answered" in caplog.text


def test_a_slow_write_is_followed_by_the_newest_and_never_overtakes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from airflow_provider_apimart.durable.folder import Folder

    released, write = threading.Event(), Folder.write

    def slow(*arguments: Any) -> None:
        released.wait(30)
        write(*arguments)

    monkeypatch.setattr("airflow_provider_apimart.page_index.writing._LONGEST_WRITE", 0.1)
    monkeypatch.setattr(Folder, "write", slow)
    file = IndexFile(str(tmp_path))
    for cost in range(9):
        file.write(IndexEntry("a", Kind.BATCH, "d", "t", "r", cost=Decimal(cost)))
    file.write(IndexEntry("b", Kind.BATCH, "d", "t", "r", cost=Decimal(1)))
    released.set()
    for thread in threading.enumerate():
        if thread.name == "apimart-index":
            thread.join(30)
    assert {name: known.entry.cost for name, known in Index(str(tmp_path)).entries().items()} == {"a": 8, "b": 1}


def test_the_index_reads_what_has_changed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_apimart.plugin.index._FRESH_SECONDS", 2.0)
    now = [0.0]
    for name in ("a", "b"):
        IndexFile(str(tmp_path)).write(IndexEntry(name, Kind.BATCH, "d", "t", "r"))
    index = Index(str(tmp_path), clock=lambda: now[0])
    before = index.entries()
    IndexFile(str(tmp_path)).write(IndexEntry("b", Kind.BATCH, "d", "t", "r", cost=Decimal(7)))
    assert index.entries() is before
    now[0] = 60.0
    after = index.entries()
    assert after["a"] is before["a"]
    assert after["b"].entry.cost == 7


def test_files_that_are_no_entries_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "index" / "2026-11"
    folder.mkdir(parents=True)
    for name, content in {"a": b"", "b": b"{", "c": b"[]", "d": b'"x"', "e": b"\xff", "f": b"[" * 100_000}.items():
        (folder / f"{name}.json").write_bytes(content)
    (folder / "g.txt").write_text("{}")
    (folder / "h.json").mkdir()
    IndexFile(str(tmp_path)).write(IndexEntry("i", Kind.BATCH, "d", "t", "r"))
    assert list(Index(str(tmp_path)).entries()) == ["i"]
