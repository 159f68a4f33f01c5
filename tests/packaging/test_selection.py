"""Selection of tests: no case is lost between the parts of a whole."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.selection import PARTS, part_of, share_of_cases, share_of_tests


class Case:
    """As much of a collected test as the selection uses."""

    def __init__(self, module: str, function: str, case: int, marks: frozenset[str]) -> None:
        self.path = Path(module)
        self.nodeid = f"{module}::{function}[{case}]"
        self._marks = marks

    def get_closest_marker(self, name: str) -> Any:
        return name if name in self._marks else None


MARKS = st.frozensets(st.sampled_from(["starts_airflow", "long", "slow"]))
CASES = st.builds(Case, st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 9), MARKS)
COLLECTED = st.lists(CASES).map(lambda cases: cast("list[pytest.Item]", cases))


@given(COLLECTED)
def test_each_case_is_in_one_half(cases: list[pytest.Item]) -> None:
    parts = [list(part_of(cases, part)) for part in PARTS]
    assert sorted(map(id, chain.from_iterable(parts))) == sorted(map(id, cases))
    assert list(part_of(cases, None)) == cases


@given(COLLECTED)
def test_the_short_half_has_one_test_with_airflow_of_a_module_and_nothing_long(cases: list[pytest.Item]) -> None:
    short = list(part_of(cases, "short"))
    assert not any(case.get_closest_marker("long") for case in short)
    with_airflow = [case.path for case in short if case.get_closest_marker("starts_airflow")]
    assert len(with_airflow) == len(set(with_airflow))


@given(COLLECTED, st.integers(1, 4))
def test_each_test_is_in_one_share(cases: list[pytest.Item], parts: int) -> None:
    shares = [list(share_of_tests(cases, f"{part}/{parts}")) for part in range(1, parts + 1)]
    assert sorted(map(id, chain.from_iterable(shares))) == sorted(map(id, cases))


@given(COLLECTED, st.integers(1, 4))
def test_each_case_is_in_a_share_and_each_test_in_all(cases: list[pytest.Item], parts: int) -> None:
    shares = [set(share_of_cases(cases, f"{part}/{parts}")) for part in range(1, parts + 1)]
    assert set().union(*shares) == set(cases)
    functions = {case.nodeid.partition("[")[0] for case in cases}
    assert all({case.nodeid.partition("[")[0] for case in share} == functions for share in shares)
