"""Items of a gallery: filters, order and paging."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from airflow_provider_apimart.page_index.entry import IndexEntry
from airflow_provider_apimart.plugin.generations import Shown
from airflow_provider_apimart.plugin.index import Known
from airflow_provider_apimart.plugin.ledgers import Items
from airflow_provider_apimart.plugin.query import Query, Sort

PAGE_SIZE = 60

# More than this is searched only where a batch, a run or a task is named.
_MOST_ITEMS = 20_000
_MOST_BATCHES = 40
_MOST_REASONS = 8
# Nobody waits longer for the ledgers of several batches in slow storages.
_LONGEST_SECONDS = 10.0


@dataclass(frozen=True)
class Reason:
    """
    A reason that several items have.

    :param example: An item that has it.
    """

    text: str
    count: int
    example: Shown


@dataclass(frozen=True)
class Gallery:
    """
    A page of a gallery.

    :param shown: The items of this page.
    :param total: Number of items that pass the filters.
    :param statuses: Number of items by status, whatever the filter for it.
    :param models: Number of items by model.
    :param reasons: The most frequent reasons for failures.
    :param problems: Why items are missing.
    :param older: Number of batches that weren't searched.
    """

    shown: tuple[Shown, ...]
    total: int
    page: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    problems: tuple[str, ...] = ()
    older: int = 0

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one."""
        return self.page * PAGE_SIZE < self.total


def in_scope(entry: IndexEntry, query: Query) -> bool:
    """Whether an entry is of the batch, DAG, task and run that are asked for."""
    asked = {"name": query.batch, "dag_id": query.dag_id, "task_id": query.task_id, "run_id": query.run_id}
    if any(value and getattr(entry, name) != value for name, value in asked.items()):
        return False
    return not query.map_index or str(entry.map_index) == query.map_index


@dataclass(frozen=True)
class Sources:
    """
    What a gallery is made of.

    :param batches: The batches that may be seen, the newest first.
    :param generations: The generations that may be seen.
    :param items_of: Returns the items of a batch.
    """

    batches: Iterable[Known]
    generations: Iterable[Shown]
    items_of: Callable[[IndexEntry], Items]


def gallery_of(sources: Sources, query: Query) -> Gallery:
    """Return the page of a gallery that is asked for."""
    problems: list[str] = []
    found, older = _found(sources, query, problems)
    matching = [each for each in found if _matches(each, query)] if query.q else found
    statuses = Counter(each.item.status for each in matching)
    models = Counter(each.item.model or "" for each in matching)
    narrowed = query.status or query.model
    chosen = [each for each in matching if _is_chosen(each, query)] if narrowed else matching
    page = min(query.page, max(1, -(-len(chosen) // PAGE_SIZE)))
    shown = tuple(ordered(chosen, query)[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    return Gallery(
        shown, len(chosen), page, statuses, models, _reasons(matching), tuple(dict.fromkeys(problems)), older
    )


def ordered(shown: list[Shown], query: Query) -> list[Shown]:
    """Return items in the order that is asked for; a batch's own order is that of the request."""
    match query.sort:
        case Sort.COST:
            return sorted(shown, key=lambda each: each.item.cost or Decimal(0), reverse=True)
        case Sort.OLDEST:
            return sorted(shown, key=_time)
        case Sort.NEWEST:
            return sorted(shown, key=_time, reverse=True)
    return sorted(shown, key=lambda each: (-each.known.at, each.item.position))


def _found(sources: Sources, query: Query, problems: list[str]) -> tuple[list[Shown], int]:
    found = [each for each in sources.generations if in_scope(each.known.entry, query)]
    batches = [each for each in sources.batches if in_scope(each.entry, query)]
    searched, deadline = 0, time.monotonic() + _LONGEST_SECONDS
    for known in batches:
        is_enough = len(found) >= _MOST_ITEMS or time.monotonic() >= deadline
        if searched >= _MOST_BATCHES or (searched and is_enough):
            break
        items = sources.items_of(known.entry)
        problems += [items.problem] if items.problem else []
        found += _of_batch(known, items)
        searched += 1
    return found, len(batches) - searched


def _of_batch(known: Known, items: Items) -> Iterator[Shown]:
    return (Shown(known, item, known.entry.destination) for item in items.all)


def _matches(shown: Shown, query: Query) -> bool:
    if not query.q:
        return True
    wanted, item = query.q.casefold(), shown.item
    searched = (item.prompt, item.id, item.generation_id, item.reason)
    return any(wanted in text.casefold() for text in searched if text)


def _is_chosen(shown: Shown, query: Query) -> bool:
    item = shown.item
    return query.status in ("", item.status) and query.model in ("", item.model or "")


def _time(shown: Shown) -> tuple[float, float, int]:
    return shown.item.time or shown.known.at, shown.known.at, -shown.item.position


def _reasons(shown: Iterable[Shown]) -> tuple[Reason, ...]:
    """Return the most frequent reasons of failures."""
    examples: dict[str, Shown] = {}
    counts: Counter[str] = Counter()
    for each in shown:
        if reason := each.item.short_reason:
            counts[reason] += 1
            examples.setdefault(reason, each)
    return tuple(Reason(text, count, examples[text]) for text, count in counts.most_common(_MOST_REASONS))


def neighbours(shown: list[Shown], of: Shown) -> tuple[Shown | None, Shown | None]:
    """Return the items before and after one, in the order of a gallery."""
    places = {(each.known.entry.name, each.item.key): number for number, each in enumerate(shown)}
    at = places.get((of.known.entry.name, of.item.key))
    if at is None:
        return None, None
    return shown[at - 1] if at else None, shown[at + 1] if at + 1 < len(shown) else None


def all_in_order(sources: Sources, query: Query) -> list[Shown]:
    """Return all items of a gallery, whatever the page."""
    found, _ = _found(sources, query, [])
    return ordered([each for each in found if _matches(each, query) and _is_chosen(each, query)], query)
