"""Plan of faults: which part and when, from a seed. No I/O."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    :param target: The part that is killed, or the database.
    :param pause: Seconds since the fault before it, at least.
    """

    target: str
    pause: float


def planned_faults(targets: Sequence[str], pauses: tuple[float, float], seed: int) -> Iterator[Fault]:
    """
    Go through faults, without end.

    Targets come as from a shuffled deck of cards, so that even a short run hits each of them.

    :param pauses: The shortest and the longest pause in seconds.
    """
    chance = random.Random(seed)
    while True:
        for target in chance.sample(targets, len(targets)):
            yield Fault(target, chance.uniform(*pauses))
