from __future__ import annotations

import pytest

from tests.batch.places import BUCKET
from tests.batch.rivals import ARENAS, rival
from tests.s3 import S3Server

pytestmark = pytest.mark.long


# The short form of `make sweep`: one for each storage, with tries as processes and as threads.
@pytest.mark.parametrize("seed", range(1000, 1000 + len(ARENAS)))
def test_tries_that_live_at_once_pay_and_save_each_item_once(s3: S3Server, seed: int) -> None:
    s3.bucket(BUCKET)
    outcome = rival(seed)
    assert outcome.holds, outcome
