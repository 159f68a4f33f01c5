"""Strikes one part of an Airflow after the other while a run lasts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from tests.chaos.account import Toll
from tests.chaos.cluster import Cluster
from tests.chaos.havoc import Strike
from tests.chaos.postgres import Postgres
from tests.chaos.run import Run

DATABASE = "database"
TARGETS = ("worker-1", "worker-2", "triggerer-1", "triggerer-2", "scheduler", DATABASE)


class Assault:
    """
    Strikes targets, starts again what falls by itself, and counts both.

    :param database: Whose connections are cut.
    :param run: What has to survive it.
    """

    def __init__(self, cluster: Cluster, database: Postgres, run: Run) -> None:
        self._cluster = cluster
        self._database = database
        self._run = run
        self._strikes = Counter(dict.fromkeys(TARGETS, 0))
        self._fallen: Counter[str] = Counter()
        self._cut = 0

    def carry_out(self, plan: Iterable[Strike], longest: float) -> Toll:
        """
        Strike as planned until the run has ended.

        :param longest: Seconds after which it counts as stuck.
        """
        give_up_at = time.monotonic() + longest
        self._watch(lambda: self._run.has_begun, give_up_at)
        for strike in plan:
            strike_at = time.monotonic() + strike.pause
            if self._watch(lambda: self._run.has_ended, min(strike_at, give_up_at)) or strike_at > give_up_at:
                break
            self._strike(strike.target)
        return Toll(self._strikes, self._cut, self._fallen)

    def _strike(self, target: str) -> None:
        self._strikes[target] += 1
        if target == DATABASE:
            self._cut += self._database.cut_connections()
        else:
            self._cluster.kill(target)

    def _watch(self, is_so: Callable[[], bool], until: float) -> bool:
        """Start again what falls, until something is so or it is too late; return whether it is so."""
        while not is_so():
            if time.monotonic() > until:
                return False
            self._fallen.update(self._cluster.revive())
            time.sleep(1)
        return True
