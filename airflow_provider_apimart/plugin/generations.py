"""Merging of the entries of one generation, such as those of an operator, a sensor and a transfer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.page_index.entry import Kind
from airflow_provider_apimart.plugin.index import Known, saved_elsewhere
from airflow_provider_apimart.plugin.items import File, Item

# What ended so wasn't charged, or was refunded.
_FREE = (ItemStatus.FAILED, ItemStatus.REFUSED, ItemStatus.MODERATED, ItemStatus.NOT_SUBMITTED)


# As cheap as the items, of which each has one.
class Shown(NamedTuple):
    """
    An item with the entry that leads to it.

    :param folder: URI of the directory in which its files are.
    """

    known: Known
    item: Item
    folder: str | None


def merged(entries: Mapping[str, Known]) -> dict[str, Shown]:
    """
    Return each generation once, by the name of the entry of the task that has sent it.

    A sensor, or a transfer, of the same DAG adds what it knows of the generation. What cost nothing and was done again
    by a later try of the same task instance is left out.

    :param entries: The entries that may be seen, the newest first.
    """
    files = saved_elsewhere(entries)
    groups: dict[tuple[str, str], list[Known]] = {}
    for known in _current(entries.values()):
        if known.item:
            # A reused result has the generation's id, and is another use of it.
            of = (None if known.item.reused else known.item.generation_id) or known.entry.name
            groups.setdefault((known.entry.dag_id, of), []).append(known)
    shown = (_one(group, *files.get(of, ((), None))) for of, group in groups.items())
    return {each.known.entry.name: each for each in shown}


def _current(entries: Iterable[Known]) -> list[Known]:
    """Return the generations without those that cost nothing and that a later try has replaced."""
    generations = [known for known in entries if known.entry.kind is Kind.GENERATION and known.item]
    last: dict[tuple[str, str, str, int], tuple[int, float]] = {}
    for known in generations:
        last[_instance(known)] = max(known.age, last.get(_instance(known), known.age))
    return [known for known in generations if not _is_free(known) or known.age >= last[_instance(known)]]


def _instance(known: Known) -> tuple[str, str, str, int]:
    entry = known.entry
    return entry.dag_id, entry.run_id, entry.task_id, entry.map_index


def _is_free(known: Known) -> bool:
    return known.item is not None and known.item.status in _FREE and not known.item.cost


def _one(group: list[Known], files: tuple[File, ...], folder: str | None) -> Shown:
    # Only who has sent it knows the prompt; who has seen it last knows how it ended.
    sender = max(group, key=lambda known: (bool(known.item and known.item.prompt), -known.at))
    seen = max(group, key=lambda known: (bool(known.item and known.item.completed), known.at))
    item = sender.item
    if item is None or seen.item is None:
        raise TypeError("an entry of a generation has an item")
    if seen is not sender and (seen.item.completed or seen.item.reason):
        names = ("status", "reason", "costs", "completion_time", "outputs")
        known = {name: getattr(seen.item, name) for name in names}
        item = item._replace(**known, saved_files=item.files or seen.item.files)
    own = sender.entry.destination or seen.entry.destination
    return Shown(sender, item.with_files(files), own if item.files else folder)
