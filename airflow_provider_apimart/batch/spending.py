"""Spending of a batch: the quotes of its items, what they have cost, and their admission by the budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.payload import requested_outputs
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.batch.budget import Admission, Budget, ItemPrice, price_kind
from airflow_provider_apimart.batch.items import BatchItem
from airflow_provider_apimart.batch.ledger import Ledger
from airflow_provider_apimart.batch.ledger_entry import LedgerEntry
from airflow_provider_apimart.batch.plan import BatchPlan
from airflow_provider_apimart.batch.todo import Todo
from airflow_provider_apimart.durable.item_status import ItemStatus
from airflow_provider_apimart.quotes.price_book import PriceBook
from airflow_provider_apimart.quotes.quote import Quote, QuoteTotal, quote_from_json, total

log = logging.getLogger(__name__)

# Without a limit nothing depends on the prices, so the batch doesn't wait for them.
_ONCE = RetryPolicy(max_requests=1, rate_limited_seconds=0.0)
_SECONDS_WITHOUT_LIMIT = 10.0


class Spending:
    """
    Prices of a batch's items, and its budget.

    :param ledger: Its items; what earlier tries have paid counts.
    """

    def __init__(self, plan: BatchPlan, ledger: Ledger) -> None:
        self._plan = plan
        self._ledger = ledger
        self._budget = Budget(plan.max_cost)
        self._has_limit = plan.max_cost is not None
        self._book = PriceBook(plan.price_policy if self._has_limit else _ONCE)
        self._prices: dict[str, ItemPrice] = {}

    async def begin(self, transport: AiohttpTransport, to_submit: Iterable[BatchItem]) -> None:
        """
        Read the prices of what is to be submitted, and account for what earlier tries have paid.

        :param transport: Reads them, without the API key. Trouble with it is no quote, never an error.
        """
        models = {str(item.request.payload.get("model")) for item in to_submit}
        try:
            async with asyncio.timeout(None if self._has_limit else _SECONDS_WITHOUT_LIMIT):
                await asyncio.gather(*(transport.run(self._book.read(model)) for model in models))
        except TimeoutError:
            log.info("APIMart's price route doesn't answer within %.0f s", _SECONDS_WITHOUT_LIMIT)
        paid = (item for item in self._plan.items if self._ledger[item.id].status is not ItemStatus.REUSED)
        self._prices = {item.id: self._price(item) for item in paid}
        if models and self._plan.finished is None:
            self._log_quotes()
        if self._has_limit:
            self._account_for_earlier_tries()

    @property
    def quoted(self) -> QuoteTotal:
        """What the whole batch is quoted at, without what is reused."""
        return total((price.model, price.quote) for price in self._prices.values())

    def quote(self, item: BatchItem) -> Quote:
        """Return what an item is quoted at."""
        return self._prices[item.id].quote

    def admits(self, item: BatchItem) -> Admission:
        """Return whether an item may be submitted now."""
        return self._budget.admits(self._prices[item.id])

    def reserve(self, item: BatchItem) -> None:
        """Note that an item may have been submitted."""
        self._budget.reserve(item.id, self._prices[item.id])

    def release(self, item: BatchItem) -> None:
        """Note that an item wasn't charged."""
        self._budget.release(item.id)

    def settle(self, item: BatchItem, generation: Generation) -> None:
        """Note what an item has cost."""
        requested = requested_outputs(item.request.modality, item.request.payload)
        is_complete = not generation.known_as(requested=requested).missing_outputs
        self._budget.settle(item.id, self._prices[item.id], generation.cost, is_complete=is_complete)

    def limit_error(self) -> errors.ApimartError:
        """Return why nothing more may be submitted."""
        if self._budget.is_blind:
            return errors.ApimartBatchRefusedError(
                "max_cost can't be kept: APIMart publishes no prices for these items and doesn't say what they cost",
                advice="Remove max_cost, and clear the task",
            )
        limit, spent = written_dollars(self._budget.limit or self._budget.spent), written_dollars(self._budget.spent)
        reserved = self._budget.reserved
        perhaps = f" and {written_dollars(reserved)} reserved for items whose outcome is unknown" if reserved else ""
        return errors.ApimartBatchRefusedError(
            f"Stopped at max_cost: {spent} of {limit} spent{perhaps}, and the next item may exceed it",
            advice="To continue, raise max_cost and clear the task",
        )

    def renew(self, item: BatchItem) -> Flow[None]:
        """Price an item as of now, since it may be submitted now. Prices that are old are read again."""
        if not self._has_limit:
            return
        model = self._prices[item.id].model
        if not self._book.is_fresh(model):
            yield from self._book.read(model)
        self._prices[item.id] = self._price(item)

    def _price(self, item: BatchItem) -> ItemPrice:
        request, entry = item.request, self._ledger[item.id]
        model = str(request.payload.get("model"))
        if entry.is_paid and entry.quote and not self._is_paid_again(item):
            quote = quote_from_json(entry.quote)
        else:
            quote = self._book.known_quote(request.modality, request.payload)
        return ItemPrice(price_kind(request) if self._has_limit else None, model, quote)

    def _is_paid_again(self, item: BatchItem) -> bool:
        """Whether a person has decided to pay again for what may have been charged already."""
        return self._ledger[item.id].is_paid and self._ledger.todo(item.id, saves=False) is Todo.SUBMIT

    def _log_quotes(self) -> None:
        quoted = self.quoted
        log.info("The batch is quoted at: %s", quoted)
        if self._has_limit and quoted.without_quote:
            log.warning(
                "max_cost: items without a quote are made one at a time, since nothing bounds what several would cost"
            )

    def _account_for_earlier_tries(self) -> None:
        entries = [(item, self._ledger[item.id]) for item in self._plan.items]
        for item, entry in entries:
            if entry.status is ItemStatus.COMPLETED:
                self.settle(item, entry.generation())
            elif self._is_paid_again(item):
                recorded = quote_from_json(entry.quote)
                price = self._prices[item.id]
                self._budget.spend(None, price if recorded.cost is None else replace(price, quote=recorded))
            elif entry.is_paid:
                self.reserve(item)
        for entry in (*(entry for _, entry in entries), *self._ledger.left_behind):
            for earlier, cost in zip(entry.earlier, entry.earlier_costs, strict=True):
                self._budget.spend(cost, _recorded_price(entry, earlier.get("quote")))
        for entry in self._ledger.left_behind:
            if entry.is_paid:
                self._budget.spend(entry.cost, _recorded_price(entry, entry.quote))


def _recorded_price(entry: LedgerEntry, quote: object) -> ItemPrice:
    """Return the price of what isn't asked for any more."""
    return ItemPrice(None, str(entry.model), quote_from_json(quote))
