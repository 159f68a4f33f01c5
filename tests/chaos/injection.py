"""Injection of faults into a running Airflow, one part after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from tests.chaos.account import FaultCounts
from tests.chaos.cluster import Cluster
from tests.chaos.plan import Fault
from tests.chaos.postgres import Postgres
from tests.chaos.run import Run

DATABASE = "database"
TARGETS = ("worker-1", "worker-2", "triggerer-1", "triggerer-2", "scheduler", DATABASE)


class FaultInjection:
    """
    Injects faults, starts parts again that exit by themselves, and counts both.

    :param database: Whose connections are cut.
    :param run: What has to survive it.
    """

    def __init__(self, cluster: Cluster, database: Postgres, run: Run) -> None:
        self._cluster = cluster
        self._database = database
        self._run = run
        self._faults = Counter(dict.fromkeys(TARGETS, 0))
        self._exited: Counter[str] = Counter()
        self._cut = 0

    def carry_out(self, plan: Iterable[Fault], longest: float) -> FaultCounts:
        """
        Inject faults as planned until the run has ended.

        A part isn't killed again before it has been up for as long as it took to start, so that a slow machine makes
        progress, too.

        :param longest: Seconds after which it counts as stuck.
        """
        give_up_at = time.monotonic() + longest
        self._watch(lambda: self._run.has_begun, give_up_at)
        for fault in plan:
            due = partial(self._is_due_or_over, fault.target, time.monotonic() + fault.pause)
            if not self._watch(due, give_up_at) or self._run.has_ended:
                break
            self._inject(fault.target)
        return FaultCounts(self._faults, self._cut, self._exited)

    def _is_due_or_over(self, target: str, earliest: float) -> bool:
        return self._run.has_ended or (time.monotonic() >= earliest and self._cluster.has_settled(target))

    def _inject(self, target: str) -> None:
        self._faults[target] += 1
        if target == DATABASE:
            self._cut += self._database.cut_connections()
        else:
            self._cluster.kill(target)

    def _watch(self, is_so: Callable[[], bool], until: float) -> bool:
        """Start exited parts again until a condition holds or the time is over; return whether it holds."""
        while not is_so():
            if time.monotonic() > until:
                return False
            self._cluster.note_starts()
            self._exited.update(self._cluster.restart_exited())
            time.sleep(1)
        return True
