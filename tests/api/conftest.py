"""Virtual clock and random numbers for tests of flows."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import settings

from airflow_provider_apimart.api import flow

from .driver import Clock

# The same examples every time: a test that fails by chance tells its reader nothing of the change at hand.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.load_profile("steady")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put every retry loop on a clock that only pauses move."""
    virtual = Clock()
    defaults = flow.retrying.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "clock", virtual)
    return virtual


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let every random draw be the number given."""

    def fix(value: float) -> None:
        monkeypatch.setattr(random, "random", lambda: value)

    return fix
