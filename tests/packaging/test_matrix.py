"""The list of what the matrix runs on each version of Airflow."""

from __future__ import annotations

import sys

from tests.matrix import TOUCHES_AIRFLOW, Environment
from tests.packaging.environment import PROJECT


def test_the_matrix_names_what_exists() -> None:
    assert not [path for path in TOUCHES_AIRFLOW if not (PROJECT / path).exists()]


def test_environments_that_differ_lie_in_folders_that_differ() -> None:
    names = [
        Environment("3.1", sys.executable).name,
        Environment("3.1", "/usr/bin/python3.12").name,
        Environment("3.1", sys.executable, ("test", "chaos")).name,
    ]
    assert names == ["3.1", "3.1-python3.12", "3.1-chaos"]


def test_the_matrix_names_every_room_that_is_not_free_of_airflow() -> None:
    free = {"api", "architecture", "browser", "chaos", "checks", "docs", "lab", "quotes", "sandbox"}
    named = {path.split("/")[1] for path in TOUCHES_AIRFLOW}
    rooms = {path.parent.name for path in (PROJECT / "tests").glob("*/__init__.py")}
    assert rooms - free == named
