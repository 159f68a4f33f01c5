"""Summary of a batch: its counts, whether its task succeeds, and the reasons of the items that are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.arguments import count_or_share, share_of
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.json_values import plain
from airflow_provider_apimart.api.payload import prompt_sha256
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.lineage.event_content import GenerationFacts, generation_facts

_MOST_REASONS = 5
_MOST_FAILURES = 10


@dataclass(frozen=True)
class BatchCounts:
    """
    The counts of a batch.

    :param statuses: The number of items by status.
    :param unsaved: The number of completed items of which files are to be saved and aren't all saved, or have neither
        a file nor a URL.
    :param files: The number of saved files.
    :param cost: US dollars, earlier generations of the items included.
    :param saved_cost: US dollars that the reused results had cost, as far as known.
    """

    statuses: Counter[ItemStatus]
    unsaved: int
    files: int
    cost: Decimal
    saved_cost: Decimal = Decimal(0)

    @property
    def items(self) -> int:
        """The number of items."""
        return sum(self.statuses.values())

    @property
    def completed(self) -> int:
        """The number of completed items."""
        return self.statuses[ItemStatus.COMPLETED]

    @property
    def reused(self) -> int:
        """The number of items that kept results serve."""
        return self.statuses[ItemStatus.REUSED]

    @property
    def moderated(self) -> int:
        """The number of items that moderation refused."""
        return self.statuses[ItemStatus.MODERATED]

    @property
    def missing(self) -> int:
        """The number of items that aren't completed or not saved. Items that moderation refused don't count."""
        return self.items - self.completed - self.reused - self.moderated + self.unsaved

    @property
    def ended(self) -> int:
        """The number of items that nothing is submitted or waited for."""
        open_ones = self.statuses[ItemStatus.NOT_SUBMITTED] + self.statuses[ItemStatus.RUNNING]
        return self.items - open_ones - self.statuses[ItemStatus.UNKNOWN]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON."""
        by_status = {status.value: self.statuses[status] for status in ItemStatus}
        return {
            "items": self.items,
            **by_status,
            "unsaved": self.unsaved,
            "files": self.files,
            "cost": plain(self.cost),
            "saved_cost": plain(self.saved_cost),
        }


def count_items(entries: Iterable[LedgerEntry], *, saves: bool, in_flight: Collection[str] = ()) -> BatchCounts:
    """
    Count the items of a batch.

    :param saves: Whether files are to be saved.
    :param in_flight: Ids of the items that are worked on: a submit among them whose reply has yet to come counts as
        running, and not as one of unknown outcome.
    """
    statuses: Counter[ItemStatus] = Counter()
    unsaved = files = 0
    cost = saved_cost = Decimal(0)
    for entry in entries:
        is_sent = entry.status is ItemStatus.UNKNOWN and entry.id in in_flight
        statuses[ItemStatus.RUNNING if is_sent else entry.status] += 1
        unsaved += entry.status is ItemStatus.COMPLETED and (not entry.is_saved if saves else entry.lacks_urls)
        files += len(entry.files)
        cost += entry.total_cost
        saved_cost += entry.saved_cost or 0
    return BatchCounts(statuses, unsaved, files, cost, saved_cost)


@dataclass(frozen=True)
class MaxFailures:
    """
    Number of items that may be missing although the task succeeds.

    :param allowed: A count, or as a decimal a share of the items.
    """

    allowed: float | Decimal = 0

    def of(self, items: int) -> int:
        """Return the count for a batch with this number of items."""
        return share_of(count_or_share(self.allowed, "max_failures"), items)


def made(entries: Iterable[LedgerEntry]) -> Iterator[GenerationFacts]:
    """Return the facts for lineage of each completed or reused item."""
    for entry in entries:
        if entry.status in (ItemStatus.COMPLETED, ItemStatus.REUSED):
            generation = entry.generation().known_as(key=entry.id, prompt_sha256=prompt_sha256(entry.prompt))
            yield generation_facts(generation, entry.files or None)


# Statuses that a retry of the task may change.
_RETRIED = (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.FAILED, ItemStatus.NOT_SUBMITTED)


def raise_if_incomplete(
    counts: BatchCounts,
    entries: Iterable[LedgerEntry],
    max_failures: MaxFailures,
    stopped_by: errors.ApimartError | None,
) -> None:
    """
    Return if the batch has succeeded.

    :param stopped_by: The error after which nothing more was submitted, ``None`` if there was none.
    :raises ApimartError: ``stopped_by``, if items are missing because of it.
    :raises ApimartBatchRefusedError: If too many items are missing and a retry can't change that.
    :raises ApimartBatchIncompleteError: If too many are missing.
    """
    allowed = max_failures.of(counts.items)
    if counts.missing <= allowed:
        return
    summary = f"{describe(counts)}; {counts.missing:,} missing, {allowed:,} allowed by max_failures"
    if stopped_by:
        stopped_by.message = f"{stopped_by.message}. {summary}"
        raise stopped_by
    reasons = _reasons(entries)
    if counts.unsaved or any(counts.statuses[status] for status in _RETRIED):
        raise errors.ApimartBatchIncompleteError(
            f"{summary}: {reasons}. A retry or a clear of the task continues with the missing items and pays for no "
            "item twice"
        )
    raise errors.ApimartBatchRefusedError(
        f"{summary}: {reasons}. A retry can't help, so the task isn't retried. Fix the items, then clear the task"
    )


def describe(counts: BatchCounts) -> str:
    """Return the counts as a clause for the log and for errors."""
    done = counts.completed + counts.reused
    parts = [f"{done:,} of {counts.items:,} {'item' if counts.items == 1 else 'items'} completed"]
    parts += [f"{counts.reused:,} of them reused"] if counts.reused else []
    parts += [f"{counts.statuses[status]:,} {_WORDS[status]}" for status in _WORDS if counts.statuses[status]]
    parts += [f"{counts.unsaved:,} not saved"] if counts.unsaved else []
    return f"{', '.join(parts)}, for {written_dollars(counts.cost)}"


_WORDS = {
    ItemStatus.FAILED: "failed",
    ItemStatus.REFUSED: "refused",
    ItemStatus.MODERATED: "refused by moderation",
    ItemStatus.UNKNOWN: "of unknown outcome",
    ItemStatus.RUNNING: "still running",
    ItemStatus.NOT_SUBMITTED: "not submitted",
}


def failures(entries: Iterable[LedgerEntry]) -> list[str]:
    """Return one line for each of the first items that failed, with its id and reason, and one for the others."""
    failed = [entry for entry in entries if entry.reason]
    lines = [f"Item {entry.id!r} {_predicate(entry)}: {entry.reason}" for entry in failed[:_MOST_FAILURES]]
    rest = len(failed) - len(lines)
    return lines + ([f"{rest:,} more {'item' if rest == 1 else 'items'}: see the ledger"] if rest else [])


def left_running(entries: Iterable[LedgerEntry]) -> str | None:
    """Return the ids of the generations that continue after a batch was stopped, ``None`` if there are none."""
    ids = [entry.generation_id for entry in entries if entry.status is ItemStatus.RUNNING and entry.generation_id]
    if not ids:
        return None
    more = f" and {len(ids) - _MOST_FAILURES:,} more" if len(ids) > _MOST_FAILURES else ""
    return (
        f"The batch was stopped. Generations that continue and are charged: {len(ids):,} "
        f"({', '.join(ids[:_MOST_FAILURES])}{more}). A retry or a clear resumes waiting for them; without one, "
        "ApimartToObjectStorageOperator saves them"
    )


def _predicate(entry: LedgerEntry) -> str:
    """Return what happened to an item, as a predicate."""
    match entry.status:
        case ItemStatus.COMPLETED:
            return "is completed but not saved"
        case ItemStatus.FAILED:
            return "failed"
    return f"{'was' if entry.status in (ItemStatus.REFUSED, ItemStatus.MODERATED) else 'is'} {_WORDS[entry.status]}"


def _reasons(entries: Iterable[LedgerEntry]) -> str:
    """Return the most frequent reasons, each with an item that has it."""
    found = [(entry.reason, entry.id) for entry in entries if entry.reason]
    examples = dict(reversed(found))
    common = Counter(reason for reason, _ in found).most_common(_MOST_REASONS)
    return (
        "; ".join(f"{count}x {reason} (such as item {examples[reason]!r})" for reason, count in common) or "see above"
    )
