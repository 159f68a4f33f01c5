"""Waiting for a generation: one decision without I/O drives the sensor, the worker's loop and the trigger."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, partial
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow, Pause, retrying
from airflow_provider_apimart.api.generation import Generation, GenerationStatus, generation_from_xcom
from airflow_provider_apimart.api.json_values import JsonObject, mapping, text
from airflow_provider_apimart.api.poll_schedule import PollContext, PollSchedule
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status import StatusRoutes, read_status

# A handful of failed looks in a row is survived; being asked to slow down doesn't count as a failure. The time is
# ample, since behind a rate limit each look of thousands may have to wait for its turn.
STATUS_POLICY = RetryPolicy(tries=6, seconds=1800.0, first=1.0, longest=30.0)


class Verdict(StrEnum):
    """What becomes of a wait. Those that end it are the vocabulary of the trigger's events."""

    POLL_AGAIN = "look_again"
    COMPLETED = "completed"
    FAILED = "failed"
    DEADLINE_PASSED = "deadline_passed"
    ERROR = "error"


@dataclass(frozen=True)
class WaitDecision:
    """
    What to do about a wait.

    :param generation: The generation as it was seen last.
    :param error: What made the wait end without an answer.
    """

    verdict: Verdict
    generation: Generation | None = None
    error: errors.ApimartError | None = None

    def to_event(self) -> dict[str, Any]:
        """Return the decision as a trigger's event: plain JSON without secrets."""
        failure = self.generation and self.generation.failure
        return {
            "verdict": self.verdict.value,
            "generation": self.generation and self.generation.to_xcom(),
            "error": self.error.to_json() if self.error else None,
            "reason": failure and failure.message,
            "moderation": bool(failure and failure.is_moderation),
        }


@dataclass(frozen=True)
class Wait:
    """
    One wait for one generation.

    :param generation_id: APIMart's id.
    :param started_at: Unix time at which the generation was submitted or first waited for. It survives restarts.
    :param deadline: Unix time after which the wait ends, ``None`` for never.
    :param modality: What the generation makes, if known.
    :param model: The model, if known.
    """

    generation_id: str
    started_at: float
    deadline: float | None = None
    schedule: PollSchedule = field(default_factory=PollSchedule)
    modality: Modality | None = None
    model: str | None = None

    def decide(self, generation: Generation, now: float) -> WaitDecision:
        """Return what to do after a look: it is finished, it has failed, it is too late, or look again."""
        if generation.status is GenerationStatus.COMPLETED:
            return WaitDecision(Verdict.COMPLETED, generation)
        if generation.status is GenerationStatus.FAILED:
            return WaitDecision(Verdict.FAILED, generation)
        if self.is_over(now):
            return WaitDecision(Verdict.DEADLINE_PASSED, generation)
        return WaitDecision(Verdict.POLL_AGAIN, generation)

    def is_over(self, now: float) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and now >= self.deadline

    def bounded(self, policy: RetryPolicy, now: float) -> RetryPolicy:
        """Return a policy that doesn't try beyond the deadline."""
        return policy if self.deadline is None else policy.within(self.deadline - now)

    def pause(
        self, seen: Generation | None, polling_stats: PollingStats, now: float, draw: float, *, first: bool = False
    ) -> float:
        """
        Return the seconds until the next look.

        :param seen: The running generation as it was seen last, ``None`` before the first look.
        :param draw: A random number from 0 to 1.
        :param first: Whether nothing was paused yet; see
            :class:`~airflow_provider_apimart.api.poll_schedule.PollSchedule`.
        """
        seconds = self.schedule.pause(partial(self._poll_context, seen, polling_stats, now), draw, first=first)
        # The last look falls on the deadline, not behind it.
        return seconds if self.deadline is None else max(0.0, min(seconds, self.deadline - now))

    def _poll_context(self, seen: Generation | None, polling_stats: PollingStats, now: float) -> PollContext:
        return PollContext(
            waited=self.age(seen, now),
            modality=self.modality,
            estimated_seconds=seen.estimated_seconds if seen else None,
            progress=seen.progress if seen else None,
            siblings=polling_stats.run_times.of(self.model),
        )

    def age(self, seen: Generation | None, now: float) -> float:
        """Return the seconds since the submit, which may have been long before anyone waited."""
        created = seen.created.timestamp() if seen and seen.created else self.started_at
        return max(0.0, now - min(self.started_at, created))


def read_status_with_retries(wait: Wait, routes: StatusRoutes, policy: RetryPolicy = STATUS_POLICY) -> Flow[Generation]:
    """
    Look at a generation, surviving a few failed looks in a row.

    :raises ApimartStatusUnreadableError: When too many looks failed in a row. The generation goes on.
    :raises ApimartError: At once for what isn't a blip, such as an authentication error or an unknown id.
    """
    try:
        looking = partial(read_status, wait.generation_id, wait.modality, routes, model=wait.model)
        return (yield from retrying(looking, policy))
    except errors.ApimartTransientError as error:
        raise errors.ApimartStatusUnreadableError(
            "The status of the generation couldn't be read several times in a row. It goes on and bills; a retry "
            f"takes it up again. The last reason: {error.message}",
            status=error.status,
            code=error.code,
            request_id=error.request_id,
            generation_id=wait.generation_id,
        ) from error


def wait_until_final(
    wait: Wait,
    polling_stats: PollingStats,
    *,
    at_once: bool = False,
    policy: RetryPolicy = STATUS_POLICY,
    on_status: Callable[[Generation], None] = lambda _: None,
    clock: Callable[[], float] = time.time,
) -> Flow[WaitDecision]:
    """
    Look at a generation until it is finished, has failed or the deadline has passed.

    :param polling_stats: What is known of the installation; how long a finished generation took is added to it.
    :param at_once: Whether to look at once. Otherwise it is known to have been running a moment ago.
    :param on_status: Called with what every look saw, for the log.
    :param clock: The Unix time, so that a wait keeps its deadline across restarts.
    :raises ApimartError: As :func:`read_status_with_retries` does.
    """
    known, first, seen_running = _of_a_known_id(policy), True, -math.inf
    kind = replace(policy, tolerates_missing=False) if at_once else known
    if not at_once:
        yield Pause(wait.pause(None, polling_stats, clock(), random.random(), first=True))
        first = False
    while True:
        try:
            generation = yield from read_status_with_retries(wait, polling_stats.routes, wait.bounded(kind, clock()))
        except errors.ApimartStatusUnreadableError as error:
            # The service asked to slow down beyond the deadline: that is no trouble but a lack of time.
            in_vain = isinstance(error.__cause__, errors.ApimartRateLimitError)
            if in_vain and wait.is_over(clock() + 2 * policy.longest):
                return WaitDecision(Verdict.DEADLINE_PASSED)
            raise
        on_status(generation)
        now = clock()
        decision = wait.decide(generation, now)
        if decision.verdict is Verdict.COMPLETED:
            polling_stats.run_times.note(
                wait.model, _run_time(generation, wait.age(generation, now), now - seen_running)
            )
        if decision.verdict is not Verdict.POLL_AGAIN:
            return decision
        pause = Pause(wait.pause(generation, polling_stats, now, random.random(), first=first))
        kind, first, seen_running = known, False, now
        # What was seen isn't kept through the pause: there may be thousands.
        del generation, decision
        yield pause


@cache
def _of_a_known_id(policy: RetryPolicy) -> RetryPolicy:
    """Return the one policy for all that wait so."""
    return replace(policy, tolerates_missing=True)


def _run_time(generation: Generation, done: float, unseen: float) -> float:
    """
    Return how long a generation took, in seconds of the clock that times the looks.

    :param done: Its age when it was seen finished.
    :param unseen: Seconds since it was last seen running; infinite if it never was.
    """
    ran = max(0.0, done - unseen)
    if generation.completed is None or generation.created is None:
        return (ran + done) / 2
    # The service's clock may be another, but it can't have finished before it was seen running.
    return min(max(ran, (generation.completed - generation.created).total_seconds()), done)


def finished_generation(
    event: object,
    generation_id: str | None,
    *,
    failure: type[errors.ApimartGenerationFailedError] = errors.ApimartGenerationFailedError,
) -> Generation:
    """
    Return the generation of a wait that ended well, or raise what ended it.

    :param event: What :meth:`Decision.to_event` returned, perhaps after a journey through a trigger.
    :param failure: What a failed generation is to the caller.
    :raises ApimartModerationError: When the generation failed because moderation refused it.
    :raises ApimartGenerationFailedError: When it failed for another reason.
    :raises ApimartWaitTimeoutError: When the deadline passed.
    :raises ApimartError: The error that ended the wait, or that the event is none of ours.
    """
    said = mapping(event)
    generation_id = generation_id or text(mapping(said.get("generation")).get("generation_id"))
    match said.get("verdict"):
        case Verdict.COMPLETED if mapping(said.get("generation")).get("status") == GenerationStatus.COMPLETED:
            return generation_from_xcom(said["generation"])
        case Verdict.FAILED:
            raise _failed(said, generation_id, failure)
        case Verdict.DEADLINE_PASSED:
            raise errors.ApimartWaitTimeoutError(
                "The wait ran out before the generation finished. It goes on and bills; a retry of the task takes it "
                "up again (so does a clear, from Airflow 3.3 on), and a longer timeout lets it finish",
                generation_id=generation_id,
            )
        case Verdict.ERROR if mapping(said.get("error")):
            raise errors.error_from_json(said["error"])
    raise errors.ApimartStatusUnreadableError(
        f"The trigger's event {event!r} says nothing of the generation. It goes on and bills; a retry of the task "
        "takes it up again",
        generation_id=generation_id,
    )


def _failed(
    event: JsonObject, generation_id: str | None, failure: type[errors.ApimartGenerationFailedError]
) -> errors.ApimartError:
    reason = event.get("reason") or "no reason given"
    if event.get("moderation"):
        return errors.ApimartModerationError(
            f"Moderation refused the generation, and APIMart refunds it; change the prompt or references: {reason}",
            generation_id=generation_id,
        )
    return failure(
        f"The generation failed at APIMart, which refunds it; a retry or a clear of its task makes a new one: {reason}",
        generation_id=generation_id,
    )
