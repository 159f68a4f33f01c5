"""Pause of Python's garbage collector, for moments in which tens of thousands of objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections() -> Iterator[None]:
    """
    Collect no garbage for a moment, and count what was made in it among the old objects.

    Ten thousand new objects make Python look through all others twenty times over, and a process of Airflow has many.
    Those that were made while it was paused would be looked through three times afterwards.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            _count_all_as_old()
            gc.enable()


def _count_all_as_old() -> None:
    # Whoever has frozen objects wants them to stay so.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
