"""The k-th identical request is served by the k-th entry."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart.library.entry import LibraryEntry
from airflow_provider_apimart.library.matching import assign, same_requests, unserved, unused
from tests.library.support import entry

ENTRIES = [entry(number) for number in range(8)]


@given(st.integers(0, 8), st.integers(0, 8), st.sets(st.integers(0, 7)))
def test_the_kth_request_has_the_kth_entry_that_is_whole(requests: int, entries: int, lost: set[int]) -> None:
    given_to: dict[int, str] = {}
    asked: list[str] = []

    def take(request: int, each: LibraryEntry) -> bool:
        asked.append(each.generation_id)
        is_whole = int(each.generation_id.removeprefix("task_")) not in lost
        if is_whole:
            given_to[request] = each.generation_id
        return is_whole

    assign(range(requests), ENTRIES[:entries], take)
    whole = [each.generation_id for number, each in enumerate(ENTRIES[:entries]) if number not in lost]
    assert given_to == dict(zip(range(requests), whole, strict=False))
    assert len(asked) == len(set(asked))


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_as_many_are_served_as_there_are_entries(requests: Sequence[str], kept: Sequence[str]) -> None:
    same = same_requests(enumerate(requests))
    entries = {
        identity: [entry(number) for number in numbers] for identity, numbers in same_requests(enumerate(kept)).items()
    }
    assert [number for numbers in same.values() for number in numbers] == sorted(
        range(len(requests)), key=lambda number: (list(same).index(requests[number]), number)
    )
    new = unserved(same, entries)
    assert len(new) == sum(max(0, requests.count(each) - kept.count(each)) for each in "abc")
    served = set(range(len(requests))) - set(new)
    assert all(one < other for one in served for other in new if requests[one] == requests[other])


@given(st.sets(st.integers(0, 7)))
def test_what_serves_another_request_of_the_task_is_not_given_again(used: set[int]) -> None:
    left = unused(ENTRIES, {f"task_{number}" for number in used} | {None})
    assert [each.generation_id for each in left] == [f"task_{number}" for number in range(8) if number not in used]
