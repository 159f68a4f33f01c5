from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.batch.budget import Admission, Budget, price_kind
from airflow_provider_apimart.batch.items import BatchItem
from tests.batch.support import as_items

KINDS = ("a", "b", "c", "d")
prices = st.decimals(min_value="0.001", max_value="5", places=3)


@settings(max_examples=400, deadline=None)
@given(
    limit=st.decimals(min_value="0", max_value="20", places=3),
    price_of=st.fixed_dictionaries(dict.fromkeys(KINDS, prices)),
    waiting=st.lists(st.sampled_from(KINDS), max_size=40),
    data=st.data(),
)
def test_whatever_happens_the_limit_is_exceeded_by_no_more_than_one_item(
    limit: Decimal, price_of: dict[str, Decimal], waiting: list[str], data: st.DataObject
) -> None:
    budget, in_flight, charged = Budget(limit), dict[str, str](), Decimal(0)
    known: set[str] = set()
    queue = list(enumerate(waiting))
    while queue or in_flight:
        admission = budget.admits(queue[0][1]) if queue else Admission.STOP
        assert in_flight or admission is not Admission.WAIT, "a deadlock"
        if admission is Admission.STOP:
            queue = []
        if admission is Admission.GO and (not in_flight or data.draw(st.booleans(), "submit")):
            number, kind = queue.pop(0)
            budget.reserve(str(number), kind)
            in_flight[str(number)] = kind
            charged += price_of[kind]
        elif in_flight:
            name = data.draw(st.sampled_from(sorted(in_flight)), "settles")
            kind = in_flight.pop(name)
            if data.draw(st.booleans(), "fails"):
                budget.release(name)
                charged -= price_of[kind]
            else:
                tells = kind not in known or data.draw(st.booleans(), "tells")
                budget.settle(name, kind, price_of[kind] if tells else None)
                known.add(kind)
        assert charged <= limit + max(price_of.values())


@given(limit=st.decimals(min_value="0.001", max_value="9", places=3), items=st.integers(1, 30))
def test_with_one_price_the_limit_is_used_up(limit: Decimal, items: int) -> None:
    """It keeps within the limit but for the first item, and leaves no item out that fits."""
    budget, made, price = Budget(limit), 0, Decimal("0.25")
    while made < items and budget.admits("kind") is Admission.GO:
        budget.reserve(str(made), "kind")
        budget.settle(str(made), "kind", price)
        made += 1
    assert made == min(items, max(1, int(limit / price)))


def test_the_first_item_goes_alone_to_learn_the_price() -> None:
    budget = Budget(Decimal(10))
    assert budget.admits("a") is Admission.GO
    budget.reserve("1", "a")
    assert budget.admits("a") is Admission.WAIT
    budget.release("1")
    assert budget.admits("a") is Admission.GO
    budget.reserve("2", "a")
    budget.settle("2", "a", Decimal(1))
    for number in range(3, 12):
        assert budget.admits("a") is Admission.GO
        budget.reserve(str(number), "a")
    assert budget.spent == 1
    assert budget.reserved == 9
    assert budget.admits("a") is Admission.WAIT


def test_an_unknown_price_counts_as_the_highest_seen_and_one_goes_at_a_time() -> None:
    budget = Budget(Decimal(10))
    budget.settle("1", "cheap", Decimal(1))
    budget.settle("2", "dear", Decimal(4))
    assert budget.admits("unknown") is Admission.GO
    budget.reserve("3", "unknown")
    assert budget.reserved == 4
    assert budget.admits("another unknown") is Admission.WAIT
    assert budget.admits("cheap") is Admission.GO


def test_without_a_limit_everything_goes() -> None:
    budget = Budget(None)
    budget.settle("1", None, None)
    assert budget.admits(None) is Admission.GO


def test_nothing_goes_where_no_price_is_ever_told() -> None:
    budget = Budget(Decimal(10))
    budget.reserve("1", "a")
    budget.settle("1", "a", None)
    assert budget.is_blind
    assert budget.admits("a") is Admission.STOP


@pytest.mark.parametrize("first_tells", [True, False])
def test_one_item_that_tells_its_price_is_enough(first_tells: bool) -> None:
    """Also where several were made by earlier tries, in whichever order they are accounted for."""
    budget = Budget(Decimal(10))
    for number, tells in enumerate((first_tells, not first_tells)):
        budget.settle(str(number), "a", Decimal(2) if tells else None)
    assert not budget.is_blind
    assert budget.admits("a") is Admission.GO


def test_what_was_replaced_at_an_unknown_price_counts_as_the_highest() -> None:
    budget = Budget(Decimal(10))
    budget.settle("1", "a", Decimal(4))
    budget.spend(None)
    budget.spend(Decimal(1))
    assert budget.spent == 9


def kinds(*written: object) -> list[object]:
    items: list[BatchItem] = as_items(written)
    return [price_kind(item.request) for item in items]


def test_requests_cost_the_same_but_for_prompt_seed_and_which_references_they_have() -> None:
    one = {"prompt": "x", "image_urls": ["https://a.example/1.png"], "seed": 1}
    other = {"prompt": "y", "image_urls": ["https://b.example/2.png"], "parameters": {"negative_prompt": "z"}}
    assert len(set(kinds(one, other))) == 1


def test_whatever_may_change_a_price_makes_another_kind() -> None:
    url = "https://a.example/1.png"
    different: list[object] = [
        {"prompt": "x"},
        {"prompt": "x", "model": "other"},
        {"prompt": "x", "n": 2},
        {"prompt": "x", "size": "16:9"},
        {"prompt": "x", "modality": "video"},
        {"prompt": "x", "duration": 5},
        {"prompt": "x", "image_urls": [url]},
        {"prompt": "x", "image_urls": [url, url]},
        {"prompt": "x", "metadata": {"quality": "high"}},
        {"prompt": "x", "metadata": {"quality": "low"}},
    ]
    assert len(set(kinds(*different))) == len(different)
