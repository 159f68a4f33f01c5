"""Sums of money by day, DAG, task and model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from airflow_provider_apimart.page_index.entry import IndexEntry, Kind
from airflow_provider_apimart.plugin.index import Known
from airflow_provider_apimart.plugin.query import Query


@dataclass(frozen=True, slots=True)
class Sum:
    """
    Generations and their cost.

    :param generations: Number of completed generations.
    :param cost: US dollars that were billed.
    :param quoted: US dollars that the completed generations with a quote were quoted at.
    :param reused: Number of items that were taken from the library.
    :param saved: US dollars that these had cost.
    """

    generations: int = 0
    cost: Decimal = Decimal(0)
    quoted: Decimal = Decimal(0)
    reused: int = 0
    saved: Decimal = Decimal(0)

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.generations + other.generations,
            self.cost + other.cost,
            self.quoted + other.quoted,
            self.reused + other.reused,
            self.saved + other.saved,
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A sum of one task and one model on one day."""

    day: str
    dag_id: str
    task_id: str
    model: str
    sum: Sum


def figures_of(entries: Mapping[str, Known], query: Query, today: date) -> list[Figure]:
    """
    Return the sums of the last days, the latest first. A generation that several tasks know of counts once.

    What a clock that is ahead has dated later than today counts today.

    :param entries: The entries that may be seen.
    :param query: Its ``days``, ``dag_id``, ``task_id`` and ``model`` count.
    """
    first = (today - timedelta(days=query.days - 1)).isoformat()
    asked = {"dag_id": query.dag_id, "task_id": query.task_id, "model": query.model}
    found: dict[tuple[str, str, str, str], Sum] = {}
    for figure in _figures(_counted(entries), today.isoformat()):
        wanted = all(not value or getattr(figure, name) == value for name, value in asked.items())
        if wanted and figure.day >= first:
            of = (figure.day, figure.dag_id, figure.task_id, figure.model)
            found[of] = found.get(of, Sum()) + figure.sum
    return [Figure(*of, found[of]) for of in sorted(found, key=lambda of: (_backwards(of[0]), of[1:]))]


def grouped(figures: Iterable[Figure], by: Callable[[Figure], str]) -> dict[str, Sum]:
    """Return the sums by something, the dearest first."""
    found: dict[str, Sum] = {}
    for figure in figures:
        found[by(figure)] = found.get(by(figure), Sum()) + figure.sum
    return dict(sorted(found.items(), key=lambda each: (-each[1].cost, each[0])))


def total(figures: Iterable[Figure]) -> Sum:
    """Return the sum of all."""
    return sum((figure.sum for figure in figures), Sum())


def _counted(entries: Mapping[str, Known]) -> Iterator[IndexEntry]:
    generations: dict[str, Known] = {}
    for known in entries.values():
        match known.entry.kind:
            case Kind.BATCH:
                yield known.entry
            case Kind.GENERATION if known.item and known.entry.spending:
                of = (None if known.item.reused else known.item.generation_id) or known.entry.name
                # The task that has sent it, which knows its prompt, rather than one that has waited for it.
                if of not in generations or known.item.prompt:
                    generations[of] = known
    yield from (known.entry for known in generations.values())


def _figures(entries: Iterable[IndexEntry], today: str) -> Iterator[Figure]:
    for entry in entries:
        for row in entry.spending:
            counted = Sum(row.generations, row.cost, row.quoted, row.reused, row.saved)
            yield Figure(min(row.day, today), entry.dag_id, entry.task_id, row.model, counted)


def _backwards(day: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in day)
