"""Sums of money over what several tasks know."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.page_index.entry import DaySpending, IndexEntry, Kind
from airflow_provider_apimart.plugin.chart import OTHERS, chart_of, nice_top
from airflow_provider_apimart.plugin.cost_totals import Figure, Sum, figures_of, grouped, total
from airflow_provider_apimart.plugin.generations import merged
from airflow_provider_apimart.plugin.index import Known, known_of
from airflow_provider_apimart.plugin.items import item_of
from airflow_provider_apimart.plugin.query import Query

TODAY = date(2026, 11, 26)
AMOUNTS = st.decimals(0, 1000, places=3)


def spent(cost: str, day: str = "2026-11-26", model: str = "m") -> tuple[DaySpending, ...]:
    return (DaySpending(day, model, 1, Decimal(cost)),)


def known(name: str, generation_id: str, *, dag_id: str = "d", cost: str | None = None, **said: object) -> Known:
    """Return what a task says about a generation."""
    entry = IndexEntry(
        name, Kind.GENERATION, dag_id, name, "r", spending=spent(cost) if cost else (), began=datetime.now(UTC)
    )
    item = {"id": generation_id, "generation_id": generation_id, "cost": cost, "status": "running"} | said
    return Known(entry, item_of(item), name)


def entries(*given: Known) -> dict[str, Known]:
    return {each.entry.name: each for each in given}


@pytest.mark.parametrize("waits", [True, False])
def test_a_generation_that_operator_and_sensor_wait_for_counts_once(waits: bool) -> None:
    sender = known("send", "g", prompt="A fox", cost="0.05" if waits else None, completed="2026-11-26T10:00:00+00:00")
    sensor = known("wait", "g", cost="0.05", status="completed", completed="2026-11-26T10:00:00+00:00")
    for order in ((sender, sensor), (sensor, sender)):
        assert total(figures_of(entries(*order), Query(), TODAY)).cost == Decimal("0.05")
        (shown,) = merged(entries(*order)).values()
        assert (shown.item.prompt, shown.item.status, shown.item.cost) == ("A fox", "completed", Decimal("0.05"))


def test_a_sensor_in_another_dag_counts_once_too_and_adds_nothing_there() -> None:
    sender = known("send", "g", prompt="A fox", cost="0.05")
    sensor = known("wait", "g", dag_id="other", cost="0.05", status="completed", completed="2026-11-26T10:00:00+00:00")
    both = entries(sensor, sender)
    assert total(figures_of(both, Query(), TODAY)).cost == Decimal("0.05")
    assert {shown.known.entry.dag_id: shown.item.status for shown in merged(both).values()} == {
        "d": "running",
        "other": "completed",
    }


@pytest.mark.parametrize(("dag_id", "is_shown"), [("d", True), ("other", False)])
def test_files_of_a_transfer_are_shown_with_the_generation_of_its_own_dag(dag_id: str, is_shown: bool) -> None:
    file = {"generation_id": "g", "uri": "file:///x/a.png", "media_type": "image/png", "sha256": "", "bytes": 1}
    transfer = known_of(IndexEntry("t", Kind.FILES, dag_id, "save", "r", destination="file:///x", files=(file,)), "t")
    (shown,) = merged(entries(known("send", "g"), transfer)).values()
    assert bool(shown.item.files) == is_shown
    assert shown.folder == ("file:///x" if is_shown else None)


def test_only_the_days_that_are_asked_for_count() -> None:
    given = {
        day: Known(IndexEntry(day, Kind.BATCH, "d", "t", "r", spending=spent("1", day)), None, day)
        for day in ("2026-11-26", "2026-11-20", "2026-11-19", "")
    }
    found = figures_of(given, Query(days=7), TODAY)
    assert [each.day for each in found] == ["2026-11-26", "2026-11-20"]


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abcdefgh"), AMOUNTS), max_size=30), st.integers(1, 366))
def test_table_and_chart_show_every_dollar(rows: list[tuple[int, str, Decimal]], days: int) -> None:
    given = {}
    for number, (ago, model, cost) in enumerate(rows):
        day = (TODAY - timedelta(days=ago)).isoformat()
        spending = (DaySpending(day, model, 1, cost),)
        given[str(number)] = Known(IndexEntry(str(number), Kind.BATCH, "d", "t", "r", spending=spending), None, "")
    figures = figures_of(given, Query(days=days), TODAY)
    expected = sum((cost for ago, _, cost in rows if ago < days), Decimal(0))
    assert total(figures).cost == expected
    for by in ("day", "dag_id", "task_id", "model"):
        assert sum(each.cost for each in grouped(figures, attrgetter(by)).values()) == expected
    chart = chart_of(figures, days, TODAY)
    assert all(bar.y >= -0.1 and bar.y + bar.height <= chart.height + 0.1 for bar in chart.bars)
    assert all(bar.x >= 0 and bar.x + bar.width <= chart.width + 0.1 for bar in chart.bars)
    assert len(chart.days) <= 9


def test_many_models_share_one_colour() -> None:
    figures = [Figure("2026-11-26", "d", "t", f"m{number}", Sum(1, Decimal(number + 1))) for number in range(9)]
    chart = chart_of(figures, 7, TODAY)
    assert chart.series == ("m8", "m7", "m6", "m5", "m4", OTHERS)
    assert {bar.series for bar in chart.bars} == set(range(6))


def test_a_bar_names_a_fraction_of_a_cent() -> None:
    chart = chart_of([Figure("2026-11-26", "d", "t", "m", Sum(1, Decimal("0.004")))], 7, TODAY)
    assert [bar.title for bar in chart.bars] == ["2026-11-26, m: $0.004"]


@given(st.decimals(0, 10**9, places=4))
def test_the_axis_reaches_above_the_highest_amount(highest: Decimal) -> None:
    top = nice_top(highest)
    assert highest <= top
    assert highest == 0 or top <= highest * Decimal("2.5")


@given(st.dictionaries(st.sampled_from([*Query.__dataclass_fields__, "other"]), st.text(max_size=12)))
def test_any_address_is_a_query_and_leads_to_itself(parameters: dict[str, str]) -> None:
    from urllib.parse import parse_qsl

    query = Query.of(parameters)
    again = Query.of(dict(parse_qsl(query.with_changes(), keep_blank_values=True)))
    assert again == query
    assert replace(query, page=1).page == 1
