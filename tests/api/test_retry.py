from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.flow import Flow, ask, retrying
from airflow_provider_apimart.api.http_messages import Reply, Request
from airflow_provider_apimart.api.retry import Failures, RetryPolicy, retry_after_seconds

from .driver import Clock, Held, reply, run_flow

TRANSIENT = [errors.ApimartConnectionError, errors.ApimartServerError, errors.ApimartTransientError]
FINAL = [
    errors.ApimartConfigurationError,
    errors.ApimartInvalidRequestError,
    errors.ApimartAuthenticationError,
    errors.ApimartPermissionError,
    errors.ApimartBalanceError,
    errors.ApimartModerationError,
    errors.ApimartIdempotencyKeyReusedError,
    errors.ApimartIndeterminateOutcomeError,
    errors.ApimartGenerationFailedError,
    errors.ApimartError,
]


def read_once() -> Flow[Reply]:
    return (yield from ask(Request("GET", "/v1/x")))


def tried(policy: RetryPolicy, *answers: Any, clock: Clock, takes: float = 0.0) -> Held:
    return run_flow(retrying(read_once, policy, clock=clock), answers, clock=clock, takes=takes)


def test_a_success_is_returned_at_once(clock: Clock) -> None:
    held = tried(RetryPolicy(), reply({"a": 1}), clock=clock)
    assert (held.value.json, held.pauses, len(held.requests)) == ({"a": 1}, [], 1)


def test_an_error_that_repeats_is_a_warning_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    same, other = errors.ApimartServerError("unreachable"), errors.ApimartServerError("overloaded")
    tried(RetryPolicy(max_requests=9), same, same, other, other, same, reply(200), clock=clock)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition(".")[0] for text in warnings] == ["unreachable", "overloaded", "unreachable"]
    assert sum("Retrying in" in record.message for record in caplog.records) == 5


@pytest.mark.parametrize("kind", TRANSIENT)
@pytest.mark.parametrize("most", [1, 2, 5])
def test_requests_are_bounded(kind: type[errors.ApimartError], most: int, clock: Clock) -> None:
    last = kind("down")
    held = tried(RetryPolicy(max_requests=most, first=0.001), last, clock=clock)
    assert len(held.requests) == most
    assert len(held.pauses) == most - 1
    assert held.error is last


@pytest.mark.parametrize("kind", FINAL)
def test_what_does_not_pass_is_raised_at_once(kind: type[errors.ApimartError], clock: Clock) -> None:
    held = tried(RetryPolicy(), kind("no", retry_after=1.0), clock=clock)
    assert (len(held.requests), held.pauses) == (1, [])
    assert type(held.error) is kind


@pytest.mark.parametrize(("max_unknown", "sent"), [(1, 1), (2, 2), (4, 4), (99, 6)])
def test_an_unknown_outcome_is_repeated_less_often(max_unknown: int, sent: int, clock: Clock) -> None:
    error = errors.ApimartUnknownOutcomeError("lost")
    held = tried(RetryPolicy(max_requests=6, first=0.01, max_unknown=max_unknown), error, clock=clock)
    assert len(held.requests) == sent
    assert held.error is error


@pytest.mark.parametrize("harmless", [errors.ApimartConnectionError("refused"), errors.ApimartRateLimitError("wait")])
def test_harmless_failures_leave_the_max_unknown(harmless: errors.ApimartError, clock: Clock) -> None:
    lost = errors.ApimartUnknownOutcomeError("lost")
    held = tried(RetryPolicy(max_requests=8, max_unknown=4), *[harmless] * 3, lost, reply({}), clock=clock)
    assert held.error is None
    assert len(held.requests) == 5


def test_the_bound_of_the_pause_doubles_up_to_the_longest(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(1.0)
    policy = RetryPolicy(max_requests=8, seconds=1e6, first=1.0, longest=10.0)
    held = tried(policy, errors.ApimartServerError("down"), clock=clock)
    assert held.pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


@given(
    failed=st.integers(1, 10_000),
    draw=st.floats(0, 1, exclude_max=True),
    first=st.floats(0.001, 100),
    longest=st.floats(0.001, 1000),
)
def test_full_jitter_lies_between_nothing_and_the_bound(failed: int, draw: float, first: float, longest: float) -> None:
    policy = RetryPolicy(max_requests=100_000, seconds=1e9, first=first, longest=longest)
    failures = Failures(failed=failed)
    pause = policy.pause_after(errors.ApimartServerError("down"), failures, draw)
    assert pause is not None
    assert 0.0 <= pause <= min(longest, first * 2.0 ** min(failed - 1, 64))
    assert policy.pause_after(errors.ApimartServerError("down"), failures, 0.0) == 0.0


def test_the_jitter_is_drawn_again_for_every_pause(clock: Clock) -> None:
    policy = RetryPolicy(max_requests=30, seconds=1e9, first=5.0, longest=5.0)
    pauses = tried(policy, errors.ApimartServerError("down"), clock=clock).pauses
    assert len(set(pauses)) > 20
    assert min(pauses) < 2.5 < max(pauses)


@pytest.mark.parametrize(
    "kind", [errors.ApimartRateLimitError, errors.ApimartServerError, errors.ApimartUnknownOutcomeError]
)
@pytest.mark.parametrize(("asked", "waits"), [(3.0, 3.0), (0.0, 0.0), (None, 0.0), (1e9, 60.0)])
def test_retry_after_is_honoured_and_capped(
    kind: type[errors.ApimartError], asked: float | None, waits: float, clock: Clock, draw: Callable[[float], None]
) -> None:
    draw(0.0)
    held = tried(RetryPolicy(longest=60.0), kind("wait", retry_after=asked), reply({}), clock=clock)
    assert held.pauses == [waits]


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0])
def test_never_earlier_than_retry_after(draw: float) -> None:
    error = errors.ApimartRateLimitError("wait", retry_after=7.0)
    pause = RetryPolicy().pause_after(error, Failures(rate_limited=1), draw)
    assert pause is not None
    assert pause >= 7.0


@pytest.mark.parametrize(("asked", "pause"), [(None, 30.0), (7.0, 37.0), (60.0, 90.0), (1e9, 90.0)])
def test_the_jitter_comes_on_top_of_retry_after_and_each_has_its_bound(asked: float | None, pause: float) -> None:
    error = errors.ApimartRateLimitError("wait", retry_after=asked)
    assert RetryPolicy(longest=60.0).pause_after(error, Failures(rate_limited=9), 0.5) == pause


def test_no_try_begins_after_the_seconds_are_over(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(1.0)
    policy = RetryPolicy(max_requests=10_000, seconds=100.0, first=1.0, longest=5.0)
    held = tried(policy, errors.ApimartServerError("down"), clock=clock, takes=7.0)
    assert isinstance(held.error, errors.ApimartServerError)
    # The last request takes its seven seconds, too.
    assert 90.0 < sum(held.pauses) + 7.0 * (len(held.requests) - 1) <= 100.0


def test_a_rate_limit_is_no_try(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    limited = [errors.ApimartRateLimitError("wait", retry_after=1.0)] * 50
    held = tried(RetryPolicy(max_requests=2, seconds=300.0), *limited, reply({}), clock=clock)
    assert held.error is None
    assert len(held.requests) == 51


def test_a_rate_limit_has_its_own_seconds(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    policy = RetryPolicy(max_requests=2, seconds=1.0, rate_limited_seconds=100.0)
    held = tried(policy, errors.ApimartRateLimitError("wait", retry_after=10.0), clock=clock)
    assert isinstance(held.error, errors.ApimartRateLimitError)
    assert held.pauses == [10.0] * 10


def test_rate_limits_leave_the_tries_for_other_failures(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    limited = [errors.ApimartRateLimitError("wait", retry_after=1.0)] * 10
    held = tried(RetryPolicy(max_requests=8), *limited, errors.ApimartServerError("down"), reply({}), clock=clock)
    assert held.error is None
    assert len(held.requests) == 12


def test_rate_limits_leave_the_seconds_for_other_failures(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    limited = [errors.ApimartRateLimitError("wait", retry_after=10.0)] * 10
    down = errors.ApimartServerError("down", retry_after=3.0)
    held = tried(RetryPolicy(seconds=8.0), down, *limited, down, reply({}), clock=clock)
    assert held.error is None
    assert sum(held.pauses) == 106.0
    held = tried(RetryPolicy(seconds=8.0), down, *limited, down, down, reply({}), clock=clock)
    assert held.error is down


def test_other_failures_leave_the_seconds_for_rate_limits(clock: Clock, draw: Callable[[float], None]) -> None:
    draw(0.0)
    down = errors.ApimartServerError("down", retry_after=10.0)
    limited = errors.ApimartRateLimitError("wait", retry_after=10.0)
    policy = RetryPolicy(seconds=50.0, rate_limited_seconds=20.0)
    assert tried(policy, *[down] * 5, limited, limited, reply({}), clock=clock).error is None
    assert tried(policy, *[down] * 5, limited, limited, limited, reply({}), clock=clock).error is limited


@pytest.mark.parametrize("max_unknown", [1, 4, 99])
def test_a_submit_in_progress_is_bounded_by_the_tries(max_unknown: int, clock: Clock) -> None:
    running = errors.ApimartSubmitInProgressError("running")
    held = tried(RetryPolicy(max_requests=6, first=0.01, max_unknown=max_unknown), running, clock=clock)
    assert len(held.requests) == 6
    assert held.error is running


NOW = datetime(2026, 9, 19, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("inf", 1e9),
        ("1" * 400, 1e9),
        ("nan", 0.0),
        ("Sat, 19 Sep 2026 08:00:30 GMT", 30.0),
        ("Sat, 19 Sep 2026 10:00:30 +0200", 30.0),
        ("Sat, 19 Sep 2026 08:00:30", 30.0),
        ("Sat, 19 Sep 2026 07:59:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("Sat, 99 Sep 2026 08:00:30 GMT", None),
        ("5 seconds", None),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, lambda: NOW) == seconds


@pytest.mark.parametrize(
    "header", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999999999999999"]
)
def test_a_retry_after_date_out_of_range_raises_nothing(header: str) -> None:
    assert retry_after_seconds(header) is None


DATE_PIECES = st.sampled_from(
    [
        "Mon",
        "Mon,",
        "01",
        "31",
        "Jan",
        "Feb",
        "-",
        "2026",
        "00:00:00",
        "24:61:61",
        "GMT",
        "+0200",
        "-9999",
        "(",
        ")",
        ",",
        ":",
        "0",
        "EST",
        "Z",
        "",
        "1.5",
    ]
)


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), st.lists(DATE_PIECES).map(" ".join)))
def test_retry_after_never_raises(header: str) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or seconds >= 0.0
