"""Pause of Python's garbage collector, for moments in which tens of thousands of objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collections(*, for_good: bool = False) -> Iterator[None]:
    """
    Collect no garbage for a moment.

    Ten thousand new objects make Python look through all others twenty times over, and a process of Airflow has many.

    :param for_good: Whether what is made in it stays until the process ends. All objects count as old ones afterwards
        then: as young ones they would be looked through three times more. Young garbage counts as old too, so that a
        process that lives long must not do this again and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if for_good:
                _count_all_as_old()
            gc.enable()


def _count_all_as_old() -> None:
    # Whoever has frozen objects wants them to stay so.
    if not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()
