"""The rate limiter on a virtual clock, against services that don't publish their limit."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_apimart.api.rate_limiter import RateLimiter
from airflow_provider_apimart.sandbox.service.rate_limit import TokenBucket

from .driver import Clock

IN_FLIGHT = 64
Limit = Callable[[], float]


def bucket(clock: Clock, rate: float) -> Limit:
    return TokenBucket(rate, clock).take


def window(clock: Clock, rate: float) -> Limit:
    """So many requests in each whole second."""
    used: dict[int, int] = {}

    def take() -> float:
        second = math.floor(clock())
        used[second] = used.get(second, 0) + 1
        return 0.0 if used[second] <= rate else second + 1 - clock()

    return take


@dataclass
class Night:
    """A client that always has more to send, with so many requests in flight, and what became of them."""

    clock: Clock = field(default_factory=lambda: Clock(0.0))
    round_trip: float = 0.05
    retry_after: Callable[[float], float | None] = math.ceil
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    pause_broken: int = 0

    def __post_init__(self) -> None:
        self.pace = RateLimiter(self.clock)
        self._numbers, self._due = count(), list[tuple[float, int, float, bool]]()
        self._on_their_way, self._resume_at = 0, 0.0

    def send_until(self, end: float, limit: Limit) -> None:
        while self.clock() < end:
            while self._on_their_way < IN_FLIGHT and self.pace.seconds_to_wait() <= 1e-9:
                self._send()
            wakes_at = self.clock() + max(self.pace.seconds_to_wait(), 1e-6)
            if self._due and (self._on_their_way >= IN_FLIGHT or self._due[0][0] <= wakes_at):
                self._arrive_or_return(limit)
            else:
                self.clock.now = wakes_at

    def _send(self) -> None:
        self.pause_broken += self.clock() < self._resume_at - 1e-6
        self._on_their_way += 1
        self._push(self.round_trip / 2, self.pace.sent(), False)

    def _push(self, seconds: float, sent_at: float, answered: bool) -> None:
        heapq.heappush(self._due, (self.clock() + seconds, next(self._numbers), sent_at, answered))

    def _arrive_or_return(self, limit: Limit) -> None:
        self.clock.now, _, sent_at, answered = heapq.heappop(self._due)
        if answered:
            self.accepted.append(self.clock())
        elif wait := limit():
            self.refused.append(self.clock())
            asked = self.retry_after(wait)
            self.pace.refused(sent_at, asked)
            self._resume_at = self.clock() + (asked or 0.0)
        else:
            return self._push(self.round_trip / 2, sent_at, True)
        self._on_their_way -= 1
        return None

    def a_second(self, began: float, end: float) -> float:
        """Return how many were accepted a second in some time."""
        return sum(began <= at < end for at in self.accepted) / (end - began)

    def refused_share(self, began: float) -> float:
        refused, accepted = (sum(at >= began for at in ats) for ats in (self.refused, self.accepted))
        return refused / (refused + accepted)


@pytest.mark.parametrize("rate", [5, 20, 50, 200])
@pytest.mark.parametrize("retry_after", [math.ceil, float, lambda _: None], ids=["whole", "exact", "unnamed"])
def test_a_bucket_s_rate_is_found_and_kept(rate: float, retry_after: Callable[[float], float | None]) -> None:
    night = Night(retry_after=retry_after)
    night.send_until(120.0, bucket(night.clock, rate))
    assert night.a_second(10.0, 120.0) >= 0.9 * rate
    assert night.refused_share(10.0) < 0.02
    assert night.pause_broken == 0


@pytest.mark.parametrize("rate", [5, 50, 200])
def test_a_limit_that_allows_no_burst_is_kept_too(rate: float) -> None:
    night = Night()
    night.send_until(120.0, window(night.clock, rate))
    assert night.a_second(10.0, 120.0) >= 0.8 * rate
    assert night.refused_share(10.0) < 0.02


def test_a_limit_that_was_lifted_is_found_out_in_about_a_minute() -> None:
    night = Night()
    night.send_until(60.0, bucket(night.clock, 20))
    night.send_until(150.0, bucket(night.clock, 200))
    assert night.a_second(130.0, 150.0) >= 0.9 * 200


def test_a_limit_that_was_lowered_is_found_out_at_once() -> None:
    night = Night()
    night.send_until(60.0, bucket(night.clock, 200))
    night.send_until(120.0, bucket(night.clock, 20))
    assert night.a_second(70.0, 120.0) >= 0.9 * 20
    assert night.refused_share(70.0) < 0.02


def test_nothing_is_limited_before_the_first_refusal(clock: Clock) -> None:
    pace = RateLimiter(clock)
    for _ in range(1000):
        assert pace.seconds_to_wait() == 0.0
        pace.sent()
    assert pace.per_second is None


def test_a_lone_refusal_is_no_limit(clock: Clock) -> None:
    pace = RateLimiter(clock)
    assert not pace.refused([pace.sent() for _ in range(20)][3], 1.0)
    assert pace.seconds_to_wait() == pytest.approx(1.0)
    clock.now += 1.0
    assert pace.per_second is None
    assert pace.seconds_to_wait() == 0.0


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), per_second=st.integers(2, 100))
def test_two_in_a_hundred_refused_at_random_are_no_limit(seed: int, per_second: int) -> None:
    clock, dice = Clock(0.0), Random(seed)
    pace, cuts = RateLimiter(clock), 0
    for _ in range(60 * per_second):
        clock.now += max(1 / per_second, pace.seconds_to_wait())
        sent_at = pace.sent()
        cuts += dice.random() < 0.02 and pace.refused(sent_at, 1.0)
    assert cuts == 0


def test_refusals_of_requests_that_were_under_way_together_are_one(clock: Clock) -> None:
    pace = RateLimiter(clock)
    sent = [pace.sent() for _ in range(64)]
    clock.now += 0.05
    assert [pace.refused(each, 1.0) for each in sent[30:]] == [False] * 7 + [True] + [False] * 26
    clock.now += 1.0
    assert pace.per_second == pytest.approx(0.7 * 30)


@pytest.mark.parametrize(
    ("asked", "pause"), [(None, 1.0), (0.0, 0.0), (0.5, 0.5), (17.0, 17.0), (60.0, 60.0), (3600.0, 60.0)]
)
def test_the_pause_that_was_asked_for_is_kept_up_to_a_minute(asked: float | None, pause: float, clock: Clock) -> None:
    pace = RateLimiter(clock)
    pace.refused(pace.sent(), asked)
    assert pace.seconds_to_wait() == pytest.approx(pause)


def test_a_later_refusal_prolongs_a_pause_and_never_shortens_it(clock: Clock) -> None:
    pace = RateLimiter(clock)
    sent_at = pace.sent()
    pace.refused(sent_at, 10.0)
    pace.refused(sent_at, 1.0)
    assert pace.seconds_to_wait() == pytest.approx(10.0)


def limited(pace: RateLimiter) -> None:
    for sent_at in [pace.sent() for _ in range(8)]:
        pace.refused(sent_at, 0.0)


def test_what_is_sent_is_spaced(clock: Clock) -> None:
    pace = RateLimiter(clock)
    limited(pace)
    sent = []
    for _ in range(5):
        clock.now += pace.seconds_to_wait()
        sent.append(pace.sent())
    assert min(after - before for before, after in pairwise(sent[1:])) > 0.9 / 3.5


def test_a_lone_refusal_below_a_known_limit_changes_nothing(clock: Clock) -> None:
    pace = RateLimiter(clock)
    limited(pace)
    clock.now += 3.0
    for _ in range(200):
        sent_at = pace.sent()
    before = pace.per_second
    clock.now += 0.01
    assert not pace.refused(sent_at, 0.0)
    assert pace.per_second == pytest.approx(before, rel=0.1)


def test_a_service_that_refuses_everything_is_asked_ever_less_often(clock: Clock) -> None:
    pace, sent = RateLimiter(clock), 0
    while clock.now < 1000.0 + 3600.0:
        clock.now += pace.seconds_to_wait()
        pace.refused(pace.sent(), 1.0)
        sent += 1
    assert sent < 1000
    assert pace.per_second is not None
    assert pace.per_second >= 0.1
