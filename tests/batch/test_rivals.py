from __future__ import annotations

import pytest

from tests.batch.rivals import rival


# The short form of `make sweep`.
@pytest.mark.parametrize("seed", range(1000, 1006))
def test_tries_that_live_at_once_pay_and_save_each_item_once(seed: int) -> None:
    outcome = rival(seed)
    assert outcome.holds, outcome
