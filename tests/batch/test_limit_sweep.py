"""A short form of the sweep of limits; ``make sweep`` runs a hundred schedules."""

from __future__ import annotations

import pytest

from tests.batch.limit_sweep import limited

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", [2, 4, 5])
def test_a_limit_holds_through_faults_kills_rivals_and_clears(seed: int) -> None:
    outcome = limited(seed)
    assert outcome.holds, outcome
