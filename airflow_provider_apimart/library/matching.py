"""Matching of requests and entries: the k-th identical request is served by the k-th entry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from airflow_provider_apimart.library.entry import LibraryEntry

T = TypeVar("T")


def same_requests(identities: Iterable[tuple[T, str]]) -> dict[str, list[T]]:
    """
    Return the requests of each identity, in their order.

    :param identities: Each request with its identity.
    """
    grouped: defaultdict[str, list[T]] = defaultdict(list)
    for request, identity in identities:
        grouped[identity].append(request)
    return dict(grouped)


def unused(entries: Iterable[LibraryEntry], used: Collection[str | None]) -> list[LibraryEntry]:
    """
    Return the entries that serve nothing yet, in their order.

    :param used: Ids of the generations that the task's requests already have: two identical requests of one task ask
        for two results.
    """
    return [entry for entry in entries if entry.generation_id not in used]


def assign(requests: Sequence[T], entries: Iterable[LibraryEntry], take: Callable[[T, LibraryEntry], bool]) -> None:
    """
    Give the k-th request the k-th entry that can be taken, as far as there are any.

    :param take: Takes an entry for a request, and returns whether it could. It is called at most once for each entry.
    """
    left = iter(entries)
    for request in requests:
        if not any(take(request, entry) for entry in left):
            return


def unserved(requests: Mapping[str, Sequence[T]], entries: Mapping[str, Sequence[LibraryEntry]]) -> list[T]:
    """
    Return the requests for which there are no entries.

    :param requests: The requests of each identity, in their order.
    :param entries: The entries of each identity.
    """
    return [each for identity, same in requests.items() for each in same[len(entries.get(identity, ())) :]]
