from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.poll_schedule import PollContext, PollSchedule
from airflow_provider_apimart.api.polling_stats import RunTimes

MIDDLE = 0.5
SIBLINGS = [40.0 + step for step in range(21)]

waits = st.floats(0, 1e7)
draws = st.floats(0, 1)
outlooks = st.builds(
    PollContext,
    waits,
    st.none() | st.sampled_from(Modality),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.floats(allow_nan=False),
    st.lists(st.floats(0, 1e6), max_size=64).map(sorted),
)


def pause(waited: float, draw: float = MIDDLE, *, first: bool = False, **known: Any) -> float:
    return PollSchedule().pause(lambda: PollContext(waited, **known), draw, first=first)


def looks(run: float, **known: Any) -> list[float]:
    """Return the ages at which a generation is looked at that takes so long."""
    ages = [0.0]
    while ages[-1] < run:
        ages.append(ages[-1] + pause(ages[-1], **known))
    return ages[1:]


@given(outlooks, draws)
def test_every_interval_lies_within_its_bounds(poll_context: PollContext, draw: float) -> None:
    assert 0.9 <= PollSchedule().pause(lambda: poll_context, draw) <= 60.0
    assert 0.7 <= PollSchedule().pause(lambda: poll_context, draw, first=True) <= 60.0


@given(outlooks, draws)
def test_chance_only_shortens_the_first_pause(poll_context: PollContext, draw: float) -> None:
    first = PollSchedule().pause(lambda: poll_context, draw, first=True)
    assert first <= PollSchedule().pause(lambda: poll_context, 0.0, first=True) == poll_context.interval


@given(st.floats(0.1, 3600), outlooks, draws)
def test_the_users_interval_wins(interval: float, poll_context: PollContext, draw: float) -> None:
    schedule = PollSchedule(interval)
    assert schedule.pause(lambda: poll_context, draw) == interval
    assert 0.0 <= schedule.pause(lambda: poll_context, draw, first=True) <= interval


def test_waits_that_begin_together_read_at_different_times() -> None:
    for schedule in (PollSchedule(), PollSchedule(10.0)):
        firsts = [schedule.pause(lambda: PollContext(0.0), draw / 1000, first=True) for draw in range(1000)]
        assert len(set(firsts)) == 1000
    nexts = {pause(30.0, draw / 1000) for draw in range(1000)}
    assert len(nexts) == 1000


@given(waits, waits)
def test_without_siblings_the_interval_grows_with_the_time_waited(one: float, other: float) -> None:
    early, late = sorted((max(one, 4.0), max(other, 4.0)))
    assert pause(early) <= pause(late) <= max(1.0, 0.1 * late)


def test_a_picture_is_looked_at_sooner_than_a_video() -> None:
    assert pause(0.0, modality=Modality.IMAGE) < pause(0.0, modality=Modality.VIDEO) < 40.0


def test_a_long_estimate_spares_reads_as_long_as_nothing_is_learnt() -> None:
    assert pause(5.0) < pause(5.0, estimated_seconds=120.0) <= 3.0
    assert pause(39.0, siblings=SIBLINGS) == pause(39.0, siblings=SIBLINGS, estimated_seconds=120.0)


def test_siblings_show_when_it_may_be_done() -> None:
    first, *later = looks(61.0, siblings=SIBLINGS)
    assert 40.0 <= first <= 45.0
    assert all(1.0 <= after - before <= 4.0 for before, after in pairwise([first, *later]))


def test_two_siblings_are_no_evidence() -> None:
    assert pause(0.0, siblings=[300.0, 300.0]) == pause(0.0)
    assert pause(0.0, siblings=[30.0, 30.0, 30.0]) > pause(0.0)


def test_few_siblings_are_trusted_less() -> None:
    assert pause(0.0, siblings=[50.0] * 3) < pause(0.0, siblings=[50.0] * 30)


def test_beyond_the_slowest_sibling_the_interval_grows_as_if_nothing_were_known() -> None:
    assert pause(500.0, siblings=SIBLINGS) == pause(500.0)


@pytest.mark.parametrize(("progress", "expected"), [(50.0, 20.0), (95.0, 100 / 19), (99.9, 5.0)])
def test_a_progress_bends_the_interval_within_bounds(progress: float, expected: float) -> None:
    assert pause(100.0) == 10.0
    assert pause(100.0, progress=progress) == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 100.0, -5.0, 1000.0, None])
def test_a_progress_that_says_nothing_counts_for_nothing(progress: float | None) -> None:
    assert pause(100.0, progress=progress) == pause(100.0)


def test_the_latest_run_times_of_a_model_are_kept_in_order() -> None:
    times = RunTimes()
    for seconds in (5.0, 3.0, 4.0):
        times.note("a", seconds)
    assert list(times.of("a")) == [3.0, 4.0, 5.0]
    assert not times.of("b")
    assert not times.of(None)


def test_a_model_that_became_faster_is_learnt_again() -> None:
    times = RunTimes()
    for seconds in [100.0] * 200 + [10.0] * 64:
        times.note("a", seconds)
    assert list(times.of("a")) == [10.0] * 64


def test_what_is_remembered_is_bounded() -> None:
    times = RunTimes()
    for number in range(10_000):
        times.note(f"model-{number}", 1.0)
        times.note(None, 1.0)
    assert times.of("model-9999")
    assert not times.of("model-0")
    assert len(times._by_model) <= 256
