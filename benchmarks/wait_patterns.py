"""
Patterns of waiting for thousands of jobs in one event loop, and one run of a pattern.

Each wait is a trigger as the triggerer runs it: the triggers start one after another, each in an asyncio task of its
own. The first poll of a wait is at a random time of its first interval; each later one is an interval after the last.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import aiohttp
import httpx
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.progress import ProgressLog
from airflow_provider_apimart.triggers import generation as our_triggers
from airflow_provider_apimart.triggers.generation import ApimartGenerationTrigger
from benchmarks.status_server import ANSWERS_AFTER

# A poll that was due so shortly before the end may still be under way.
GRACE = 1.0
_HEARTBEAT = 0.01
_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Figures:
    """
    Figures of a run of a pattern.

    :param done: Share of the due polls that were done.
    :param latency: Seconds from a poll's being due to its answer, median; ``None`` where no wait polled twice.
    :param stop: Seconds for which the event loop did nothing else, at worst.
    :param cpu: Seconds of processor time a poll, once all waits were started.
    :param memory: Bytes that the process grew for a wait.
    """

    done: float
    latency: float | None
    stop: float
    cpu: float | None
    memory: float


class Diary:
    """Times of the polls of one wait."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.polls: list[float] = []

    def note(self) -> None:
        """Note that a poll is done."""
        self.polls.append(time.monotonic())

    def due(self, interval: float, end: float) -> int:
        """Return the number of polls that were due by then, had each been answered at once."""
        first = min([*self.polls[:1], self.started + interval + ANSWERS_AFTER])
        return max(0, 1 + int((end - GRACE - first) // (interval + ANSWERS_AFTER)))

    def latencies(self, interval: float) -> list[float]:
        """Return the seconds between the due time and the reply of each poll but the first."""
        return [after - before - interval for before, after in zip(self.polls, self.polls[1:], strict=False)]


diaries: list[Diary] = []


class PollingTrigger(BaseTrigger, ABC):
    """Wait as in most triggers: a loop of sleep, request and reading the reply."""

    client: ClassVar[Any] = None

    def __init__(self, url: str, interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # not annotated by Airflow
        self.url = url
        self.interval = interval
        self.diary = Diary()
        diaries.append(self.diary)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow would store."""
        return f"{__name__}.{type(self).__name__}", {"url": self.url, "interval": self.interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the job is done."""
        pause = random.random() * self.interval
        while True:
            await asyncio.sleep(pause)
            status = json.loads(await self.ask())["data"]["status"]
            self.diary.note()
            if status in ("completed", "failed"):
                yield TriggerEvent({"status": status})
                return
            pause = self.interval

    @abstractmethod
    async def ask(self) -> bytes | str:
        """Return the body of the answer."""


class BareSession(PollingTrigger):
    """One aiohttp session for all: what such a loop costs at the least."""

    async def ask(self) -> bytes | str:
        """Ask through the session of all."""
        if PollingTrigger.client is None:
            PollingTrigger.client = aiohttp.ClientSession(headers=HEADERS, cookie_jar=aiohttp.DummyCookieJar())
        async with PollingTrigger.client.get(self.url) as response:
            body: bytes = await response.read()
            return body


class SharedHttpx(PollingTrigger):
    """One httpx client for all."""

    async def ask(self) -> bytes | str:
        """Ask through the client of all."""
        if PollingTrigger.client is None:
            PollingTrigger.client = httpx.AsyncClient(headers=HEADERS, timeout=60)
        response: httpx.Response = await PollingTrigger.client.get(self.url)
        return response.content


class OwnHttpx(PollingTrigger):
    """A client for every trigger."""

    async def ask(self) -> bytes | str:
        """Ask through a client that is made for the first poll."""
        if self.client is None:
            self.client = httpx.AsyncClient(headers=HEADERS, timeout=60)  # type: ignore[misc]  # its own, as named
        response: httpx.Response = await self.client.get(self.url)
        return response.content


class Blocking(PollingTrigger):
    """A blocking client in an asynchronous method."""

    async def ask(self) -> bytes | str:
        """Ask, and let everybody else wait."""
        return self.ask_blocking()

    def ask_blocking(self) -> bytes:
        """Ask through the blocking client of all."""
        if PollingTrigger.client is None:
            PollingTrigger.client = httpx.Client(headers=HEADERS, timeout=60)
        response: httpx.Response = PollingTrigger.client.get(self.url)
        return response.content


class InThreads(Blocking):
    """A blocking client in threads."""

    async def ask(self) -> bytes | str:
        """Ask in a thread."""
        return await asyncio.to_thread(self.ask_blocking)


class NotedProgress(ProgressLog):
    """Progress log of one of our waits, which notes every poll."""

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self._diary = Diary()
        diaries.append(self._diary)

    def __call__(self, generation: Generation) -> None:
        """Note the poll, and log as usual."""
        self._diary.note()
        super().__call__(generation)


HEADERS = {"Authorization": "Bearer sk-benchmark", "User-Agent": "benchmark"}
OURS = "this provider"
PATTERNS: dict[str, type[PollingTrigger]] = {
    "bare shared aiohttp session": BareSession,
    "one shared httpx client": SharedHttpx,
    "blocking client in threads": InThreads,
    "one httpx client a trigger": OwnHttpx,
    "blocking client": Blocking,
}


def trigger(pattern: str, base_url: str, interval: float, number: int) -> BaseTrigger:
    """Return a new wait of a pattern."""
    generation_id = f"task_{number:032d}"
    if pattern == OURS:
        now = time.time()
        return ApimartGenerationTrigger(
            generation_id, now, "benchmark", now + 3600, poll_interval=interval, modality="image", model="benchmark"
        )
    return PATTERNS[pattern](f"{base_url}/v1/tasks/{generation_id}?language=en", interval)


async def consume(wait: BaseTrigger) -> None:
    """Run a trigger to its end, as the triggerer does."""
    async for _ in wait.run():
        pass


async def heart(stops: list[float]) -> None:
    """Note by how much the loop is late."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(_HEARTBEAT)
        stops.append(time.monotonic() - before - _HEARTBEAT)


async def measure(pattern: str, waits: int, interval: float, seconds: float, base_url: str) -> Figures:
    """Start that many waits and watch them for some seconds."""
    stops: list[float] = []
    running = [asyncio.ensure_future(heart(stops))]
    grown = -resident()
    for number in range(waits):
        await asyncio.sleep(0)
        running.append(asyncio.ensure_future(consume(trigger(pattern, base_url, interval, number))))
        await asyncio.sleep(0)
    # By then every wait has polled once, which is when connections are opened and first lines logged.
    await asyncio.sleep(interval + ANSWERS_AFTER)
    cpu, polls = -time.process_time(), -polls_done()
    await asyncio.sleep(seconds)
    cpu, polls, end = cpu + time.process_time(), polls + polls_done(), time.monotonic()
    grown += resident()
    due = [diary.due(interval, end) for diary in diaries] + [1] * (waits - len(diaries))
    done = [min(len(diary.polls), each) for diary, each in zip(diaries, due, strict=False)]
    latencies = [latency for diary in diaries for latency in diary.latencies(interval)]
    return Figures(
        done=sum(done) / sum(due),
        latency=statistics.median(latencies) if latencies else None,
        stop=max(stops),
        cpu=cpu / polls if polls else None,
        memory=grown / waits,
    )


def polls_done() -> int:
    """Return how many polls all waits have done."""
    return sum(len(diary.polls) for diary in diaries)


def resident() -> int:
    """Return the bytes of memory that the process holds."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * _PAGE


def main() -> None:
    """Run one pattern and print its figures as JSON."""
    pattern, waits, interval, seconds, base_url = sys.argv[1:]
    connection = {"conn_type": "apimart", "host": base_url, "password": "sk-benchmark"}
    os.environ["AIRFLOW_CONN_BENCHMARK"] = json.dumps(connection)
    our_triggers.ProgressLog = NotedProgress  # type: ignore[attr-defined]  # the one place that sees every poll

    async def run() -> None:
        figures = await measure(pattern, int(waits), float(interval), float(seconds), base_url)
        print("\n" + json.dumps(asdict(figures)), flush=True)
        # Thousands of cancellations, and threads that still wait, aren't part of what is measured.
        os._exit(0)

    asyncio.run(run())


if __name__ == "__main__":
    main()
