from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.batch.budget import Admission, Budget, ItemPrice, price_kind
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.quotes.quote import Certainty, Quote, no_quote
from tests.batch.support import as_items

pytestmark = pytest.mark.slow

dollars = st.decimals(min_value="0.001", max_value="5", places=3)


def quoted(cost: Decimal | str | int, kind: str = "kind", certainty: Certainty = Certainty.EXACT) -> ItemPrice:
    return ItemPrice(kind, f"model of {kind}", Quote(Decimal(cost), certainty))


def unquoted(kind: str = "kind") -> ItemPrice:
    return ItemPrice(kind, f"model of {kind}", no_quote("no prices"))


@dataclass
class Batch:
    """
    Items that are submitted, fail and end in any order.

    :param waiting: Their prices as known before, and what they cost.
    """

    budget: Budget
    waiting: list[tuple[ItemPrice, Decimal]]
    charged: Decimal = Decimal(0)
    most: Decimal = Decimal(0)

    def run(self, data: st.DataObject, *, tells: bool = True) -> None:
        in_flight: dict[str, tuple[ItemPrice, Decimal]] = {}
        queue = list(enumerate(self.waiting))
        while queue or in_flight:
            admission = self.budget.admits(queue[0][1][0]) if queue else Admission.STOP
            assert in_flight or admission is not Admission.WAIT, "a deadlock"
            if admission is Admission.STOP:
                queue = []
            if admission is Admission.GO and (not in_flight or data.draw(st.booleans(), "submit")):
                number, (price, cost) = queue.pop(0)
                self.budget.reserve(str(number), price)
                in_flight[str(number)] = (price, cost)
                self.charged += cost
            elif in_flight:
                name = data.draw(st.sampled_from(sorted(in_flight)), "settles")
                price, cost = in_flight.pop(name)
                if data.draw(st.integers(0, 3), "fails") == 0:
                    self.budget.release(name)
                    self.charged -= cost
                else:
                    told = tells or price.quote.cost is None or data.draw(st.booleans(), "tells")
                    self.budget.settle(name, price, cost if told else None)
            self.most = max(self.most, self.charged)


limits = st.decimals(min_value="0", max_value="20", places=3)


@settings(max_examples=400, deadline=None)
@given(limit=limits, costs=st.lists(dollars, max_size=40), data=st.data(), tells=st.booleans())
def test_with_exact_quotes_the_limit_is_never_exceeded(
    limit: Decimal, costs: list[Decimal], data: st.DataObject, tells: bool
) -> None:
    batch = Batch(Budget(limit), [(quoted(cost, data.draw(st.sampled_from("ab"))), cost) for cost in costs])
    batch.run(data, tells=tells)
    assert batch.most <= limit


@settings(max_examples=400, deadline=None)
@given(limit=limits, costs=st.lists(st.tuples(dollars, dollars), max_size=40), data=st.data())
def test_with_upper_bounds_the_limit_is_never_exceeded(
    limit: Decimal, costs: list[tuple[Decimal, Decimal]], data: st.DataObject
) -> None:
    batch = Batch(Budget(limit), [(quoted(max(each), "a", Certainty.AT_MOST), min(each)) for each in costs])
    batch.run(data)
    assert batch.most <= limit


@settings(max_examples=400, deadline=None)
@given(limit=limits, costs=st.lists(dollars, max_size=40), ratio=st.decimals("0.3", "2", places=2), data=st.data())
def test_an_account_with_a_ratio_of_its_own_exceeds_it_by_the_first_item_at_most(
    limit: Decimal, costs: list[Decimal], ratio: Decimal, data: st.DataObject
) -> None:
    batch = Batch(Budget(limit), [(quoted(cost), cost * ratio) for cost in costs])
    batch.run(data)
    assert batch.most <= max(limit, *(cost * ratio for cost in costs if cost <= limit), Decimal(0))


@settings(max_examples=400, deadline=None)
@given(
    limit=limits,
    costs=st.lists(st.tuples(dollars, st.sampled_from("abc"), st.booleans()), max_size=40),
    data=st.data(),
)
def test_without_quotes_it_is_exceeded_by_one_item_at_most_at_any_price(
    limit: Decimal, costs: list[tuple[Decimal, str, bool]], data: st.DataObject
) -> None:
    """Prices differ under the same settings, and some items have a quote."""
    items = [(quoted(cost, kind) if has_quote else unquoted(kind), cost) for cost, kind, has_quote in costs]
    batch = Batch(Budget(limit), items)
    batch.run(data)
    assert batch.most <= limit + max((cost for cost, _, has_quote in costs if not has_quote), default=Decimal(0))


@given(limit=st.decimals(min_value="0.25", max_value="9", places=3), items=st.integers(1, 30), has_quote=st.booleans())
def test_with_one_price_the_limit_is_used_up(limit: Decimal, items: int, has_quote: bool) -> None:
    budget, made, cost = Budget(limit), 0, Decimal("0.25")
    price = quoted(cost) if has_quote else unquoted()
    while made < items and budget.admits(price) is Admission.GO:
        budget.reserve(str(made), price)
        budget.settle(str(made), price, cost)
        made += 1
    assert made == min(items, int(limit / cost))


def test_a_quote_that_is_beyond_the_limit_isnt_submitted() -> None:
    assert Budget(Decimal("0.20")).admits(quoted("0.21")) is Admission.STOP


def test_exact_quotes_need_no_first_item_alone() -> None:
    budget = Budget(Decimal(10))
    for number in range(5):
        assert budget.admits(quoted(1)) is Admission.GO
        budget.reserve(str(number), quoted(1))
    # Half of the limit is kept until a cost has told what the account pays.
    assert budget.admits(quoted(1)) is Admission.WAIT
    budget.settle("0", quoted(1), Decimal(1))
    assert budget.admits(quoted(1)) is Admission.GO


def test_what_the_account_pays_is_learnt_for_each_model() -> None:
    budget = Budget(Decimal(100))
    budget.settle("0", quoted(1, "a"), Decimal("0.8"))
    budget.reserve("1", quoted(10, "a"))
    budget.reserve("2", quoted(10, "b"))
    assert budget.reserved == 20
    budget.settle("3", quoted(1, "c"), Decimal("1.5"))
    assert budget.reserved == 10 + 15


def test_a_discount_counts_for_an_item_that_goes_alone() -> None:
    budget = Budget(Decimal("1.6"))
    budget.settle("0", quoted(1), Decimal("0.8"))
    assert budget.admits(quoted(1)) is Admission.GO
    budget.reserve("1", quoted(1))
    assert budget.admits(quoted(1)) is Admission.WAIT


@settings(max_examples=200, deadline=None)
@given(limit=limits, costs=st.lists(st.tuples(dollars, dollars), max_size=40), data=st.data())
def test_a_discount_of_some_items_exceeds_it_by_one_item_at_most(
    limit: Decimal, costs: list[tuple[Decimal, Decimal]], data: st.DataObject
) -> None:
    """A first item at $0.01 of a quote of $0.05 let a hundred others go at once: billed $4.96 of $1.00."""
    items = [(quoted(max(each), data.draw(st.sampled_from("ab"))), min(each)) for each in costs]
    batch = Batch(Budget(limit), items)
    batch.run(data)
    assert batch.most <= limit + max((max(each) for each in costs), default=Decimal(0))


def test_fewer_outputs_are_no_discount() -> None:
    budget = Budget(Decimal(100))
    budget.settle("0", quoted(4, "a"), Decimal(2), is_complete=False)
    budget.reserve("1", quoted(10, "a"))
    assert budget.reserved == 10


def test_an_item_never_counts_less_than_its_kind_has_cost() -> None:
    budget = Budget(Decimal(100))
    budget.settle("0", unquoted("a"), Decimal(3))
    budget.reserve("1", quoted(1, "a"))
    assert budget.reserved == 3


def test_an_unknown_price_counts_as_the_highest_seen_and_one_goes_at_a_time() -> None:
    budget = Budget(Decimal(20))
    budget.settle("1", unquoted("cheap"), Decimal(1))
    budget.settle("2", unquoted("dear"), Decimal(4))
    assert budget.admits(unquoted("unknown")) is Admission.GO
    budget.reserve("3", unquoted("unknown"))
    assert budget.reserved == 4
    assert budget.admits(unquoted("cheap")) is Admission.WAIT
    assert budget.admits(quoted(1, "quoted")) is Admission.GO


def test_without_a_limit_everything_goes() -> None:
    budget = Budget(None)
    budget.settle("1", unquoted(), None)
    assert budget.admits(unquoted()) is Admission.GO


def test_an_unquoted_item_stops_where_no_price_is_ever_given() -> None:
    budget = Budget(Decimal(10))
    budget.reserve("1", unquoted())
    budget.settle("1", unquoted(), None)
    assert budget.is_blind
    assert budget.admits(unquoted()) is Admission.STOP
    assert budget.admits(quoted(1)) is Admission.GO


@pytest.mark.parametrize("first_tells", [True, False])
def test_one_item_with_a_price_is_enough(first_tells: bool) -> None:
    """Also where several were made by earlier tries, in whichever order they are accounted for."""
    budget = Budget(Decimal(10))
    for number, tells in enumerate((first_tells, not first_tells)):
        budget.settle(str(number), unquoted(), Decimal(2) if tells else None)
    assert not budget.is_blind
    assert budget.spent == 4
    assert budget.admits(unquoted()) is Admission.GO


def test_what_was_replaced_at_an_unknown_price_counts_as_the_highest() -> None:
    budget = Budget(Decimal(10))
    budget.spend(None)
    budget.settle("1", unquoted(), Decimal(4))
    budget.spend(Decimal(1))
    assert budget.spent == 9


def test_what_was_replaced_and_had_a_quote_counts_as_that() -> None:
    budget = Budget(Decimal(10))
    budget.spend(None, quoted(2))
    assert budget.spent == 2


def kinds(*written: object) -> list[object]:
    items: list[BatchItem] = as_items(written)
    return [price_kind(item.request) for item in items]


def test_requests_cost_the_same_but_for_prompt_seed_and_which_references_they_have() -> None:
    one = {"prompt": "x", "image_urls": ["https://a.example/1.png"], "seed": 1}
    other = {"prompt": "y", "image_urls": ["https://b.example/2.png"], "parameters": {"negative_prompt": "z"}}
    assert len(set(kinds(one, other))) == 1


def test_anything_that_may_change_a_price_makes_another_kind() -> None:
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
