"""The short form of the kill sweep."""

from __future__ import annotations

import pytest

from tests.batch.places import BUCKET, Place
from tests.library.kill_sweep import Schedule, run, schedules
from tests.s3 import S3Server

pytestmark = pytest.mark.long

# Seeds whose first process is killed early, so that there is a kill however fast the machine is.
SHORT = [
    Schedule(Place.LOCAL, deferrable=False, seed=1, items=20, mean_seconds=0.8),
    Schedule(Place.LOCAL, deferrable=True, seed=14, items=20, mean_seconds=0.8),
    Schedule(Place.S3, deferrable=False, seed=18, items=10, mean_seconds=2.0),
]


@pytest.mark.parametrize("schedule", SHORT, ids=lambda each: f"{each.place} {each.seed}")
def test_killed_nights_pay_and_keep_each_request_once(s3: S3Server, schedule: Schedule) -> None:
    s3.bucket(BUCKET)
    outcome = run(schedule, s3.variables)
    assert outcome.holds, outcome
    assert outcome.kills


def test_the_sweep_covers_every_place_and_way() -> None:
    tried = {(each.place, each.deferrable) for each in schedules(4)}
    assert tried == {(place, way) for place in (Place.LOCAL, Place.S3) for way in (False, True)}
