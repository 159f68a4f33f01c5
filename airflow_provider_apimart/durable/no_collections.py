"""Pause of Python's garbage collector, for moments in which tens of thousands of objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """
    Collect no garbage for a moment.

    Ten thousand new objects make Python look through all others twenty times over, and a process of Airflow has many.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
