"""Pause of Python's garbage collector, for moments in which tens of thousands of objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# So many new objects are worth the look through all frozen ones. A batch of some thousand items makes them.
_MANY_OBJECTS = 50_000


@contextmanager
def collection_paused(*, for_good: bool = False) -> Iterator[None]:
    """
    Collect no garbage for a moment.

    Ten thousand new objects make Python look through all others twenty times over, and a process of Airflow has many.

    :param for_good: Whether what is made in it stays until the process ends. If it is much, all objects count as old
        ones afterwards: as young ones they would be looked through three times more. Young garbage counts as old too,
        so that a process that lives long must not do this again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if for_good and gc.get_count()[0] >= _MANY_OBJECTS:
                _count_all_as_old()
            gc.enable()


def _count_all_as_old() -> None:
    # Whoever has frozen objects wants them to stay so.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
