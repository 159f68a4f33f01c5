"""Billing: accounts, accepted generations and their charges. Tests about money compare with it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from airflow_provider_apimart.sandbox.service.generations import Generation
from airflow_provider_apimart.sandbox.service.replies import refusal
from airflow_provider_apimart.sandbox.service.settings import ApiKey


@dataclass
class Account:
    """
    The account of an API key.

    :param balance: US dollars left; ``None`` means unlimited
    :param used: US dollars charged and not refunded
    """

    balance: Decimal | None
    used: Decimal = Decimal(0)

    def charge(self, amount: Decimal) -> None:
        """Charge US dollars; a negative amount is a refund."""
        self.used += amount
        if self.balance is not None:
            self.balance -= amount


class Billing:
    """
    All accepted generations and their charges.

    :param keys: the API keys with an account
    :param now: returns the time in seconds since 1970
    """

    def __init__(self, keys: Iterable[ApiKey], now: Callable[[], float]) -> None:
        self._now = now
        self.accounts = {key.key: Account(key.balance) for key in keys}
        self._generations: dict[str, Generation] = {}
        self.charges: dict[str, Decimal] = {}
        self._running: list[tuple[float, str]] = []

    @property
    def accepted(self) -> int:
        """The number of generations accepted."""
        return len(self._generations)

    @property
    def billed(self) -> int:
        """The number of generations charged and not refunded."""
        now = self._now()
        return sum(not (generation.failure and generation.finished(now)) for generation in self)

    @property
    def dollars(self) -> Decimal:
        """US dollars charged and not refunded, over all accounts."""
        self.settle()
        return sum(self.charges.values(), Decimal(0))

    def __iter__(self) -> Iterator[Generation]:
        """Iterate over all generations in order of acceptance."""
        return iter(self._generations.values())

    def account(self, api_key: str) -> Account:
        """Return the account of an API key, after settling ended generations."""
        self.settle()
        return self.accounts[api_key]

    def find(self, generation_id: str) -> Generation | None:
        """Return the generation with this id, if any."""
        self.settle()
        return self._generations.get(generation_id)

    def accept(self, generation: Generation) -> None:
        """Add a generation and reserve its worst-case price; raises :class:`.RefusedError` if the balance is lower."""
        balance = self.account(generation.api_key).balance
        if balance is not None and balance < generation.reserved:
            raise refusal("quota_not_enough" if generation.modality == "music" else "insufficient_balance")
        self._put(generation)
        self._book(generation, generation.reserved)

    def end(self, generation_id: str, failure: str | None) -> None:
        """
        End a generation now, or mark an ended one as failed.

        :param failure: the reason of the failure, or ``None`` for the intended outcome
        """
        generation = self._generations[generation_id]
        now = self._now()
        seconds = min(generation.seconds, now - generation.created)
        self._put(replace(generation, seconds=seconds, failure=failure or generation.failure))

    def end_all(self) -> None:
        """End all running generations now, each with its intended outcome."""
        now = self._now()
        for generation in [generation for generation in self if not generation.finished(now)]:
            self.end(generation.generation_id, None)

    def rename_account(self, api_key: str, new: str) -> None:
        """Give an account another API key, with its generations and all that was charged."""
        self.accounts[new] = self.accounts.pop(api_key)
        for generation in list(self):
            if generation.api_key == api_key:
                self._generations[generation.generation_id] = replace(generation, api_key=new)

    def restore(
        self, accounts: Mapping[str, Account], generations: Iterable[Generation], charges: Mapping[str, Decimal]
    ) -> None:
        """Replace all state; accounts of other API keys are kept."""
        self.accounts.update(accounts)
        self.charges = dict(charges)
        self._generations, self._running = {}, []
        for generation in generations:
            self._put(generation)

    def settle(self) -> None:
        """Refund what ended generations reserved above their charge."""
        now = self._now()
        while self._running and self._running[0][0] <= now:
            generation = self._generations[heapq.heappop(self._running)[1]]
            self._book(generation, generation.charge(now))

    def _put(self, generation: Generation) -> None:
        self._generations[generation.generation_id] = generation
        heapq.heappush(self._running, (generation.completed, generation.generation_id))

    def _book(self, generation: Generation, charge: Decimal) -> None:
        booked = self.charges.get(generation.generation_id, Decimal(0))
        self.accounts[generation.api_key].charge(charge - booked)
        self.charges[generation.generation_id] = charge
