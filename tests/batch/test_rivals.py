from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.batch.places import s3_server
from tests.batch.rivals import ARENAS, rival


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[None]:
    with s3_server():
        yield


# The short form of `make sweep`: one for each storage, with tries as processes and as threads.
@pytest.mark.parametrize("seed", range(1000, 1000 + len(ARENAS)))
def test_tries_that_live_at_once_pay_and_save_each_item_once(seed: int) -> None:
    outcome = rival(seed)
    assert outcome.holds, outcome
