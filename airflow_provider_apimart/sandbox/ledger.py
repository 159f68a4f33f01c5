"""The ledger: accounts, accepted jobs, and what each is charged. The judge in every question about money."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from airflow_provider_apimart.sandbox.generations import Generation
from airflow_provider_apimart.sandbox.replies import refusal
from airflow_provider_apimart.sandbox.settings import ApiKey


@dataclass
class Account:
    """
    The money behind one API key.

    :param balance: US dollars left; ``None`` is unlimited
    :param used: US dollars charged and not given back
    """

    balance: Decimal | None
    used: Decimal = Decimal(0)

    def charge(self, amount: Decimal) -> None:
        """Take US dollars; a negative amount gives them back."""
        self.used += amount
        if self.balance is not None:
            self.balance -= amount


class Ledger:
    """
    All jobs ever accepted, and the money they moved.

    :param keys: the API keys that have an account
    :param now: the clock jobs run by
    """

    def __init__(self, keys: Iterable[ApiKey], now: Callable[[], float]) -> None:
        self._now = now
        self._accounts = {key.key: Account(key.balance) for key in keys}
        self._generations: dict[str, Generation] = {}
        self._charges: dict[str, Decimal] = {}
        self._running: list[tuple[float, str]] = []

    @property
    def accepted(self) -> int:
        """How many jobs were made."""
        return len(self._generations)

    @property
    def billed(self) -> int:
        """How many jobs are charged and not refunded."""
        now = self._now()
        return sum(not (generation.failure and generation.finished(now)) for generation in self)

    @property
    def dollars(self) -> Decimal:
        """US dollars charged and not given back, over all accounts."""
        self.settle()
        return sum(self._charges.values(), Decimal(0))

    def __iter__(self) -> Iterator[Generation]:
        """Go through all jobs in the order they were accepted."""
        return iter(self._generations.values())

    def account(self, api_key: str) -> Account:
        """Return the account behind an API key, with everything settled that has ended."""
        self.settle()
        return self._accounts[api_key]

    def find(self, generation_id: str) -> Generation | None:
        """Return a job, if there is one of this id."""
        self.settle()
        return self._generations.get(generation_id)

    def accept(self, generation: Generation) -> None:
        """Make a job and reserve its worst-case price; refuse it if the account can't pay that."""
        balance = self.account(generation.api_key).balance
        if balance is not None and balance < generation.reserved:
            raise refusal("insufficient_balance")
        self._put(generation)
        self._book(generation, generation.reserved)

    def end(self, generation_id: str, failure: str | None) -> None:
        """
        End a job now, or mark an ended one as failed.

        :param failure: the reason it failed for, or ``None`` to let it end as it would have
        """
        generation = self._generations[generation_id]
        now = self._now()
        seconds = min(generation.seconds, now - generation.created)
        self._put(replace(generation, seconds=seconds, failure=failure or generation.failure))

    def end_all(self) -> None:
        """End all running jobs now, each the way it would have ended."""
        now = self._now()
        for generation in [generation for generation in self if not generation.finished(now)]:
            self.end(generation.generation_id, None)

    def settle(self) -> None:
        """Give back what ended jobs reserved in excess: all of it for failed ones."""
        now = self._now()
        while self._running and self._running[0][0] <= now:
            generation = self._generations[heapq.heappop(self._running)[1]]
            self._book(generation, generation.charge(now))

    def _put(self, generation: Generation) -> None:
        self._generations[generation.generation_id] = generation
        heapq.heappush(self._running, (generation.completed, generation.generation_id))

    def _book(self, generation: Generation, charge: Decimal) -> None:
        booked = self._charges.get(generation.generation_id, Decimal(0))
        self._accounts[generation.api_key].charge(charge - booked)
        self._charges[generation.generation_id] = charge
