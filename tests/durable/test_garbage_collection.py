"""What a pause of Python's garbage collector leaves behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from airflow_provider_apimart.durable.garbage_collection import collection_paused

MANY = 60_000


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Let each test begin with a collector that runs and has nothing frozen."""
    gc.unfreeze()
    gc.collect()
    yield
    gc.unfreeze()
    gc.enable()


def is_old(made: object) -> bool:
    return any(made is each for each in gc.get_objects(generation=2))


@pytest.mark.parametrize(("number", "for_good", "old"), [(MANY, True, True), (10, True, False), (MANY, False, False)])
def test_much_that_is_made_for_good_counts_as_old(number: int, for_good: bool, old: bool) -> None:
    with collection_paused(for_good=for_good):
        made = [[each] for each in range(number)]
        assert not gc.isenabled()
        assert len(gc.get_objects(generation=0)) > number, "none was collected"

    assert is_old(made) is old
    assert gc.isenabled()


def test_frozen_objects_stay_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()

    with collection_paused(for_good=True):
        made = [[each] for each in range(MANY)]

    assert gc.get_freeze_count() == pytest.approx(frozen, abs=100)
    assert not is_old(made)


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with collection_paused(for_good=True):
        made = [[each] for each in range(MANY)]
    assert not gc.isenabled()
    assert not is_old(made)
