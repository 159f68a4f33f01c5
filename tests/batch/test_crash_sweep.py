from __future__ import annotations

import pytest

from tests.batch.crash_sweep import Scenario, crash, scenarios
from tests.lab import AirflowLab

pytestmark = pytest.mark.long

# The short form of `make sweep`.
BARE = [
    Scenario(deferrable=False, items=120, mean_seconds=0.7, seed=1),
    Scenario(deferrable=True, items=120, mean_seconds=0.7, seed=2),
    Scenario(deferrable=False, items=60, mean_seconds=0.7, limited=True, seed=3),
]
IN_AIRFLOW = [
    Scenario(deferrable=False, items=40, in_airflow=True, mean_seconds=4.0, seed=4),
    Scenario(deferrable=True, items=40, in_airflow=True, mean_seconds=4.0, seed=5),
]


@pytest.mark.parametrize("scenario", BARE, ids=lambda scenario: " ".join(scenario.name.split()))
def test_a_batch_that_is_killed_again_and_again_pays_and_saves_each_item_once(scenario: Scenario) -> None:
    outcome = crash(scenario)
    assert outcome.kills
    assert outcome.holds, outcome


@pytest.mark.parametrize("scenario", IN_AIRFLOW, ids=lambda scenario: " ".join(scenario.name.split()))
def test_so_does_one_in_airflow(lab: AirflowLab, scenario: Scenario) -> None:
    outcome = crash(scenario, lab)
    assert outcome.holds, outcome


def test_the_count_would_show_a_double_charge() -> None:
    """Where the service ignores keys, what dies between a submit and its record is charged twice."""
    outcome = crash(Scenario(deferrable=False, ignores_keys=True, items=120, mean_seconds=0.6, seed=6))
    assert outcome.holds, outcome
    assert outcome.paid_twice <= 64 * outcome.kills


def test_the_sweep_covers_every_mode() -> None:
    all_of_them = list(scenarios(2))
    for name in ("deferrable", "in_airflow", "limited", "ignores_keys"):
        assert {getattr(scenario, name) for scenario in all_of_them} == {False, True}
