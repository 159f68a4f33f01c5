from __future__ import annotations

from itertools import islice

from tests.chaos.plan import planned_faults

TARGETS = ("worker", "scheduler", "database")


def test_each_target_is_hit_before_any_is_hit_again() -> None:
    faults = list(islice(planned_faults(TARGETS, (1.0, 2.0), seed=3), 3 * len(TARGETS)))
    for deal in range(0, len(faults), len(TARGETS)):
        assert sorted(fault.target for fault in faults[deal : deal + len(TARGETS)]) == sorted(TARGETS)


def test_pauses_keep_within_their_limits() -> None:
    assert all(1.0 <= fault.pause <= 2.0 for fault in islice(planned_faults(TARGETS, (1.0, 2.0), seed=4), 100))


def test_a_seed_is_a_plan() -> None:
    once, again, other = (list(islice(planned_faults(TARGETS, (1.0, 2.0), seed), 20)) for seed in (5, 5, 6))
    assert once == again != other
