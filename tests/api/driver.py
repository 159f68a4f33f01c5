"""Driver of flows without I/O: replies from a list, pauses on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_apimart.api.flow import Flow, Pause
from airflow_provider_apimart.api.http_messages import Reply, Request
from airflow_provider_apimart.exceptions import ApimartError


@dataclass
class Clock:
    """A clock that moves only when told."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """What happened in a flow."""

    value: Any = None
    error: BaseException | None = None
    requests: list[Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def bodies(self) -> list[bytes]:
        files = (request.content.open() for request in self.requests if request.content)
        return [b"".join(iter(partial(file.read, 65_536), b"")) for file in files]


def reply(body: object = None, status: int = 200, **headers: str) -> Reply:
    """Make a reply with a JSON body; an underscore in a header's name stands for a hyphen."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.lower().replace("_", "-"): value for name, value in headers.items()}, content)


def error_reply(status: int, message: str = "no", code: object = None, **headers: str) -> Reply:
    """Make a reply in the service's usual error form."""
    details: Mapping[str, object] = {"message": message, "type": "error", **({} if code is None else {"code": code})}
    return reply({"error": details}, status, **headers)


def _repeating_last(answers: Iterable[Reply | ApimartError]) -> Iterator[Reply | ApimartError]:
    for answer in answers:
        yield answer
    while True:
        yield answer


def run_flow(
    flow: Flow[Any],
    answers: Iterable[Reply | ApimartError],
    *,
    clock: Clock | None = None,
    takes: float = 0.0,
) -> Held:
    """
    Hold a flow; the last answer is given again and again.

    :param takes: Seconds that every request takes on the virtual clock.
    """
    held, clock, given = Held(), clock or Clock(), _repeating_last(answers)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                held.pauses.append(step.seconds)
                clock.now += step.seconds
                step = flow.send(None)
                continue
            held.requests.append(step)
            clock.now += takes
            answer = next(given)
            assert len(held.requests) < 10_000, "the flow doesn't end"
            step = flow.throw(answer) if isinstance(answer, ApimartError) else flow.send(answer)
    except StopIteration as finished:
        held.value = finished.value
    except Exception as error:
        held.error = error
    return held
