from __future__ import annotations

from itertools import islice

from tests.chaos.havoc import havoc

TARGETS = ("worker", "scheduler", "database")


def test_each_target_is_struck_before_any_is_struck_again() -> None:
    strikes = list(islice(havoc(TARGETS, (1.0, 2.0), seed=3), 3 * len(TARGETS)))
    for deal in range(0, len(strikes), len(TARGETS)):
        assert sorted(strike.target for strike in strikes[deal : deal + len(TARGETS)]) == sorted(TARGETS)


def test_pauses_keep_within_their_limits() -> None:
    assert all(1.0 <= strike.pause <= 2.0 for strike in islice(havoc(TARGETS, (1.0, 2.0), seed=4), 100))


def test_a_seed_is_a_plan() -> None:
    once, again, other = (list(islice(havoc(TARGETS, (1.0, 2.0), seed), 20)) for seed in (5, 5, 6))
    assert once == again != other
