"""
What takes more than one request, told without I/O.

A flow is a generator. It yields a :class:`~airflow_provider_apimart.api.http_messages.Request` and is sent the
reply, or yields a :class:`Pause` and is resumed after it; what it returns is the result. An error of the
transport is thrown in where the reply would have come. The worker's transport and the triggerer's hold the very
same flows.
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
    Hold a flow until it succeeds or the policy gives up.

    This is the only place of the provider that sends something again.

    :param start: Starts the flow; called anew for every try.
    :param clock: Seconds that only grow.
    :raises ApimartError: The last error, when the policy gave up on it or it isn't one that passes.
    """
    began, failures = clock(), _NO_FAILURES
    while True:
        try:
            return (yield from start())
        except ApimartError as error:
            failures = failures.after(error, clock() - began)
            seconds = policy.pause_after(error, failures, random.random())
            if seconds is None:
                raise
            failures = failures.after_pause(error, seconds)
            # Thousands may be asked to slow down at once; whoever paces them tells it once.
            level = logging.DEBUG if isinstance(error, ApimartRateLimitError) else logging.WARNING
            log.log(level, "%s. It is tried again in %.1f s", error, seconds)
        yield Pause(seconds)
