"""What a batch has come to: its counts, whether its task succeeds, and the manifest that it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.arguments import count_or_share, share_of
from airflow_provider_apimart.api.json_values import plain
from airflow_provider_apimart.api.payload import prompt_sha256
from airflow_provider_apimart.batch.ledger import ItemStatus, LedgerEntry
from airflow_provider_apimart.lineage.facts import GenerationFacts, saved_file, unsaved

_MOST_REASONS = 5


@dataclass(frozen=True)
class BatchCounts:
    """
    The counts of a batch.

    :param statuses: How many items have each status.
    :param unsaved: Completed items whose files aren't all saved, though they should be.
    :param files: Saved files.
    :param cost: US dollars.
    """

    statuses: Counter[ItemStatus]
    unsaved: int
    files: int
    cost: Decimal

    @property
    def items(self) -> int:
        """How many items there are."""
        return sum(self.statuses.values())

    @property
    def completed(self) -> int:
        """How many are made."""
        return self.statuses[ItemStatus.COMPLETED]

    @property
    def moderated(self) -> int:
        """How many moderation has refused."""
        return self.statuses[ItemStatus.MODERATED]

    @property
    def missing(self) -> int:
        """How many should be there and aren't; what moderation refused isn't counted."""
        return self.items - self.completed - self.moderated + self.unsaved

    @property
    def ended(self) -> int:
        """How many have nothing more to wait for."""
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
        }


def count_items(entries: Iterable[LedgerEntry], *, saves: bool) -> BatchCounts:
    """
    Count what has become of a batch.

    :param saves: Whether files are to be saved.
    """
    statuses: Counter[ItemStatus] = Counter()
    unsaved = files = 0
    cost = Decimal(0)
    for entry in entries:
        statuses[entry.status] += 1
        unsaved += saves and entry.status is ItemStatus.COMPLETED and not entry.is_saved
        files += len(entry.files)
        cost += entry.total_cost
    return BatchCounts(statuses, unsaved, files, cost)


@dataclass(frozen=True)
class MaxFailures:
    """
    How many items may be missing for the task to succeed.

    :param allowed: A count, or as a decimal a share of the items.
    """

    allowed: float | Decimal = 0

    def of(self, items: int) -> int:
        """Return the count for a batch of some size."""
        return share_of(count_or_share(self.allowed, "max_failures"), items)


def made(entries: Iterable[LedgerEntry]) -> Iterator[GenerationFacts]:
    """Return what lineage tells of each completed item."""
    for entry in entries:
        if entry.status is ItemStatus.COMPLETED:
            generation = entry.generation().known_as(prompt_sha256=prompt_sha256(entry.prompt))
            files = tuple(map(saved_file, entry.files))
            yield GenerationFacts(generation, files) if files else unsaved(generation)


# What a retry of the task may mend.
_PASSING = (ItemStatus.UNKNOWN, ItemStatus.RUNNING, ItemStatus.FAILED, ItemStatus.NOT_SUBMITTED)


def raise_if_incomplete(
    counts: BatchCounts,
    entries: Iterable[LedgerEntry],
    max_failures: MaxFailures,
    stopped_by: errors.ApimartError | None,
) -> None:
    """
    Return if the batch has succeeded.

    :param stopped_by: Why nothing more was submitted.
    :raises ApimartError: What kept the batch from being submitted whole, if that is why items are missing.
    :raises ApimartBatchRefusedError: If too many items are missing and trying again can't help.
    :raises ApimartBatchIncompleteError: If too many are missing.
    """
    allowed = max_failures.of(counts.items)
    if counts.missing <= allowed:
        return
    told = f"{describe(counts)}; {counts.missing} missing, {allowed} allowed by max_failures"
    if stopped_by:
        stopped_by.message = f"{stopped_by.message}. {told}"
        raise stopped_by
    reasons = _reasons(entries)
    if counts.unsaved or any(counts.statuses[status] for status in _PASSING):
        raise errors.ApimartBatchIncompleteError(
            f"{told}. A retry or a clear of the task goes on with what is missing and pays for nothing twice: {reasons}"
        )
    raise errors.ApimartBatchRefusedError(
        f"{told}. Trying again doesn't help, so the task isn't retried; mend the items, and clear it: {reasons}"
    )


def describe(counts: BatchCounts) -> str:
    """Return the counts as a clause for the log and for errors."""
    said = [f"{counts.completed:,} of {counts.items:,} items are completed"]
    said += [f"{counts.statuses[status]:,} {_WORDS[status]}" for status in _WORDS if counts.statuses[status]]
    said += [f"{counts.unsaved:,} not saved"] if counts.unsaved else []
    return f"{', '.join(said)}, for ${counts.cost:,.2f}"


_WORDS = {
    ItemStatus.FAILED: "failed",
    ItemStatus.REFUSED: "refused",
    ItemStatus.MODERATED: "refused by moderation",
    ItemStatus.UNKNOWN: "of unknown outcome",
    ItemStatus.RUNNING: "still running",
    ItemStatus.NOT_SUBMITTED: "not submitted",
}


def _reasons(entries: Iterable[LedgerEntry]) -> str:
    """Return the commonest reasons, each with an item that has it."""
    told = [(entry.reason, entry.id) for entry in entries if entry.reason]
    examples = dict(reversed(told))
    common = Counter(reason for reason, _ in told).most_common(_MOST_REASONS)
    return (
        "; ".join(f"{count}x {reason} (such as item {examples[reason]!r})" for reason, count in common) or "see above"
    )
