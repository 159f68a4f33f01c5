"""The short form of a week of nights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.library.week import NIGHTS, week

pytestmark = pytest.mark.long


def test_each_night_of_a_week_pays_for_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The week sets it for itself.
    monkeypatch.setenv("AIRFLOW_CONN_APIMART_DEFAULT", "")
    nights = list(week(items=60, singles=6, folder=tmp_path))
    assert len(nights) == NIGHTS
    assert not [str(outcome) for outcome in nights if not outcome.holds]
    assert [outcome.new for outcome in nights[1:]] == [2] * (NIGHTS - 1)
