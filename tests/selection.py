"""Which tests run: the parts of `make test` and `make test-rest`, and the shares of the short matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PARTS = ("short", "rest")
"""``make test`` runs the short part, ``make test-rest`` the rest."""


def part_of(tests: Iterable[pytest.Item], part: str | None) -> Iterator[pytest.Item]:
    """
    Go through one of the two parts of the tests; without a name, through all.

    The short one lacks the long tests, and of those that start an Airflow it has the first one of each module alone.
    """
    with_airflow: set[Path] = set()
    for test in tests:
        is_first = test.path not in with_airflow
        if starts_airflow := test.get_closest_marker("starts_airflow") is not None:
            with_airflow.add(test.path)
        is_long = test.get_closest_marker("long") is not None or (starts_airflow and not is_first)
        if part is None or is_long == (part == "rest"):
            yield test


def share_of_tests(tests: Iterable[pytest.Item], share: str | None) -> Iterator[pytest.Item]:
    """Go through every Nth test with all its cases."""
    for number, cases in enumerate(_by_function(tests)):
        if _is_of(share, number):
            yield from cases


def share_of_cases(tests: Iterable[pytest.Item], share: str | None) -> Iterator[pytest.Item]:
    """Go through the first case of each test, and every Nth other one."""
    for cases in _by_function(tests):
        yield from (case for number, case in enumerate(cases) if number == 0 or _is_of(share, number))


def _by_function(tests: Iterable[pytest.Item]) -> Iterable[list[pytest.Item]]:
    cases: dict[str, list[pytest.Item]] = {}
    for test in tests:
        cases.setdefault(test.nodeid.partition("[")[0], []).append(test)
    return cases.values()


def _is_of(share: str | None, number: int) -> bool:
    """Whether a number is of a share such as ``1/4``; without a share, all are."""
    part, _, parts = (share or "1/1").partition("/")
    return number % int(parts) == int(part) % int(parts)
