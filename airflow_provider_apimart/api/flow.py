"""
Flows: generators that yield requests and pauses, which the transports execute.

A flow is a generator. It yields a :class:`~airflow_provider_apimart.api.http_messages.Request` and is sent the reply,
or yields a :class:`Pause` and is resumed after it. Its return value is the result. A transport throws its errors into
the flow in place of a reply. The transports of the worker and of the triggerer run the same flows.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from airflow_provider_apimart.api.http_messages import Reply, Request
from airflow_provider_apimart.api.retry import Failures, RetryPolicy
from airflow_provider_apimart.exceptions import ApimartError, ApimartRateLimitError

log = logging.getLogger(__name__)

T = TypeVar("T")

_NO_FAILURES = Failures()


@dataclass(frozen=True)
class Pause:
    """A wait of some seconds, during which nothing is sent."""

    seconds: float


FlowStep = Request | Pause
Flow = Generator[FlowStep, Reply | None, T]


def ask(request: Request) -> Flow[Reply]:
    """Send one request and return its reply."""
    reply = yield request
    if reply is None:
        raise TypeError("a request was answered with nothing: the transport must send the reply or throw")
    return reply


def retrying(
    start: Callable[[], Flow[T]],
    policy: RetryPolicy,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Flow[T]:
    """
    Run a flow until it succeeds or the policy gives up.

    This is the only place of the provider that repeats requests to APIMart. An error is logged when it occurs first.

    :param start: Starts the flow; called for every try.
    :param clock: Monotonic seconds.
    :raises ApimartError: The last error, if the policy gave up or the error isn't transient.
    """
    began, failures, logged = clock(), _NO_FAILURES, ""
    while True:
        try:
            return (yield from start())
        except ApimartError as error:
            failures = failures.after(error, clock() - began)
            seconds = policy.pause_after(error, failures, random.random())
            if seconds is None:
                raise
            failures = failures.after_pause(error, seconds)
            # Thousands may be rate limited at once; the rate limiter logs that once.
            is_known = isinstance(error, ApimartRateLimitError) or str(error) == logged
            log.log(logging.DEBUG if is_known else logging.WARNING, "%s. Retrying in %.1f s", error.summary, seconds)
            logged = str(error)
        yield Pause(seconds)
