"""What to strike, and when: decided from a seed, without touching anything."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Strike:
    """
    One thing that goes wrong.

    :param target: What is struck.
    :param pause: Seconds since the strike before it.
    """

    target: str
    pause: float


def havoc(targets: Sequence[str], pauses: tuple[float, float], seed: int) -> Iterator[Strike]:
    """
    Go through strikes without end.

    Targets come as from a shuffled deck of cards, so that even a short run strikes each of them.

    :param pauses: The shortest and the longest pause in seconds.
    """
    dice = random.Random(seed)
    while True:
        for target in dice.sample(targets, len(targets)):
            yield Strike(target, dice.uniform(*pauses))
