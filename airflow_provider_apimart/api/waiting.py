"""Wait for a generation: one decision without I/O for the sensor, the worker, the trigger and the batch."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Self

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.arguments import optional_seconds
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.flow import Flow, Pause, retrying
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_parsing import is_empty_result
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.poll_schedule import PollContext, PollSchedule
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes, read_status

#: Survives a few failed status reads in a row. Pauses asked for by 429 do not count as failures. The time is ample,
#: since behind a rate limit each of thousands of reads may have to wait for its turn. A generation is new, and may not
#: be found yet, for two minutes after its submit: reports of 404 end after about one.
STATUS_POLICY = RetryPolicy(max_requests=6, seconds=1800.0, first=1.0, longest=30.0, new_seconds=120.0)

# Further status reads of a completed generation without outputs.
_READS_FOR_OUTPUTS = 3


class Verdict(StrEnum):
    """Result of a decision about a wait. All but ``POLL_AGAIN`` end the wait and appear in the trigger's events."""

    POLL_AGAIN = "poll_again"
    COMPLETED = "completed"
    FAILED = "failed"
    DEADLINE_PASSED = "deadline_passed"
    ERROR = "error"


@dataclass(frozen=True)
class WaitDecision:
    """
    Decision about a wait.

    :param generation: The generation as last seen. Present when it is completed or failed.
    :param error: The error that ended the wait. Present when the deadline passed or the status cannot be read.
    """

    verdict: Verdict
    generation: Generation | None = None
    error: errors.ApimartError | None = None


@dataclass(frozen=True)
class Wait:
    """
    One wait for one generation. All fields are plain values, so a trigger takes them as its arguments.

    :param generation_id: APIMart's id.
    :param started_at: Unix time of the submit, or else of the first wait. It survives restarts.
    :param deadline: Unix time after which the wait ends, ``None`` for never.
    :param poll_interval: Seconds between two status reads; ``None`` adapts to the run time.
    :param modality: Modality of the generation, if known.
    :param model: Model of the generation, if known.
    """

    generation_id: str
    started_at: float
    deadline: float | None = None
    poll_interval: float | None = None
    modality: Modality | None = None
    model: str | None = None

    @classmethod
    def begin(
        cls,
        generation_id: str | None,
        *,
        submitted: datetime | float | None = None,
        timeout: float | str | timedelta | None = None,
        poll_interval: float | str | timedelta | None = None,
        modality: Modality | str | None = None,
        model: str | None = None,
        now: float | None = None,
    ) -> Self:
        """
        Return a wait that begins now.

        :param submitted: Time of the submit; without it, the generation counts as submitted now.
        :param timeout: Seconds from now to the deadline, ``None`` for no deadline.
        :param now: Unix time; the current time by default.
        """
        now = time.time() if now is None else now
        started_at = submitted.timestamp() if isinstance(submitted, datetime) else submitted
        seconds = optional_seconds(timeout, "timeout")
        return cls(
            str(generation_id),
            started_at=now if started_at is None else started_at,
            deadline=None if seconds is None else now + seconds,
            poll_interval=optional_seconds(poll_interval, "poll_interval", exclusive=True),
            modality=Modality(modality) if modality else None,
            model=model,
        )

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the wait that :meth:`to_json` described. Missing fields have their defaults."""
        modality = fields.get("modality")
        return cls(**{**fields, "modality": Modality(modality) if modality else None})

    def to_json(self) -> dict[str, Any]:
        """Return the wait as plain JSON, for a trigger's arguments."""
        return {**asdict(self), "modality": self.modality and self.modality.value}

    def decide(self, generation: Generation, now: float) -> WaitDecision:
        """Return what follows from a status read: completed, failed, deadline passed, or poll again."""
        if generation.status is GenerationStatus.COMPLETED:
            return WaitDecision(Verdict.COMPLETED, generation)
        if generation.status is GenerationStatus.FAILED:
            return WaitDecision(Verdict.FAILED, generation)
        if self.is_over(now):
            return self.timed_out(generation, now)
        return WaitDecision(Verdict.POLL_AGAIN, generation)

    def timed_out(self, seen: Generation | None, now: float) -> WaitDecision:
        """Return the decision after the deadline, with the error that says so."""
        status = f"still {seen.status_word}" if seen else "its status is unknown"
        progress = f", {seen.progress:.0f} %" if seen and seen.progress is not None else ""
        error = errors.ApimartWaitTimeoutError(
            f"Timeout: {status}{progress}, {self.age(seen, now):.0f} s after the submit",
            advice="The generation keeps running and is charged. A retry or a clear of the task resumes waiting for it "
            "at no cost. A longer timeout lets it finish",
            generation_id=self.generation_id,
        )
        return WaitDecision(Verdict.DEADLINE_PASSED, seen, error)

    def is_over(self, now: float) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and now >= self.deadline

    def bounded(self, policy: RetryPolicy, now: float) -> RetryPolicy:
        """Return a policy that does not retry beyond the deadline."""
        return policy if self.deadline is None else policy.within(self.deadline - now)

    def pause(
        self, seen: Generation | None, polling_stats: PollingStats, now: float, draw: float, *, first: bool = False
    ) -> float:
        """
        Return the seconds until the next status read.

        :param seen: The running generation as last seen, ``None`` before the first read.
        :param draw: A random number from 0 to 1.
        :param first: Whether it is the first pause; see
            :class:`~airflow_provider_apimart.api.poll_schedule.PollSchedule`.
        """
        schedule = PollSchedule(self.poll_interval)
        seconds = schedule.pause(partial(self._poll_context, seen, polling_stats, now), draw, first=first)
        # The last read falls on the deadline, not behind it.
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
        """Return the seconds since the submit, which may precede the wait by far."""
        created = seen.created.timestamp() if seen and seen.created else self.started_at
        return max(0.0, now - min(self.started_at, created))


def read_status_with_retries(
    wait: Wait, routes: StatusRoutes, policy: RetryPolicy = STATUS_POLICY, clock: Callable[[], float] = time.time
) -> Flow[Generation]:
    """
    Read a generation's status, with a few retries.

    A generation that is not found is read again: a few times in any case, and for as long as it is new. One that is
    completed without any output is read a few times more, since some services show the outputs moments later.

    :param clock: Unix time, from which the generation's age follows.
    :raises ApimartStatusUnreadableError: When too many reads failed in a row. The generation keeps running.
    :raises ApimartGenerationNotFoundError: When it is not new and was not found several times in a row.
    :raises ApimartError: At once for anything that a repetition cannot fix, such as an authentication error.
    """
    reading = partial(read_status, wait.generation_id, wait.modality, routes, model=wait.model)
    try:
        generation = yield from retrying(reading, policy.after_submit(wait.age(None, clock())))
        for number in range(_READS_FOR_OUTPUTS):
            if not generation.is_incomplete:
                break
            yield Pause(policy.first * 2.0**number)
            generation = yield from retrying(reading, policy)
        return generation
    except errors.ApimartTransientError as error:
        raise errors.ApimartStatusUnreadableError(
            f"{error.message}. The generation's status could not be read several times in a row",
            advice="The generation keeps running and is charged. A retry of the task resumes waiting for it at no cost",
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
    Read a generation's status until it is completed, has failed or the deadline has passed.

    :param polling_stats: Statistics of the connection; the run time of a completed generation is added.
    :param at_once: Whether to read at once. Otherwise the generation is known to have been running a moment ago.
    :param on_status: Called with the result of every status read, for the log.
    :param clock: The Unix time, so that the deadline holds across restarts.
    :raises ApimartError: As :func:`read_status_with_retries` does.
    """
    first, seen_running = True, -math.inf
    if not at_once:
        yield Pause(wait.pause(None, polling_stats, clock(), random.random(), first=True))
        first = False
    while True:
        try:
            generation = yield from read_status_with_retries(
                wait, polling_stats.routes, wait.bounded(policy, clock()), clock
            )
        except errors.ApimartStatusUnreadableError as error:
            # A pause asked for by 429 that ends beyond the deadline is a timeout, not a failure.
            in_vain = isinstance(error.__cause__, errors.ApimartRateLimitError)
            if in_vain and wait.is_over(clock() + 2 * policy.longest):
                return wait.timed_out(None, clock())
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
        first, seen_running = False, now
        # Thousands of waits may pause at once: none keeps what it saw.
        del generation, decision
        yield pause


def _run_time(generation: Generation, done: float, unseen: float) -> float:
    """
    Return the run time of a generation in seconds, on the clock that times the status reads.

    :param done: Its age when it was seen completed.
    :param unseen: Seconds since it was last seen running; infinite if it never was.
    """
    ran = max(0.0, done - unseen)
    if generation.completed is None or generation.created is None:
        return (ran + done) / 2
    # The service's clock may differ from ours; the run time is between the last two reads.
    return min(max(ran, (generation.completed - generation.created).total_seconds()), done)


def check_not_empty(generation: Generation) -> None:
    """
    Check that a completed generation has an output or another result.

    :raises ApimartEmptyResultError: If it has neither, or none of its media can be read.
    """
    if generation.is_incomplete and is_empty_result(generation.outputs, generation.result):
        where = f" that can be read in {', '.join(sorted(generation.result))}" if generation.result else ""
        raise errors.ApimartEmptyResultError(
            f"The generation is completed, but APIMart's reply holds no output{where}",
            advice="A retry of the task reads its status again at no cost",
            generation_id=generation.generation_id,
        )


def finished_generation(
    decision: WaitDecision, *, failure: type[errors.ApimartGenerationFailedError] = errors.ApimartGenerationFailedError
) -> Generation:
    """
    Return the completed generation of a wait that has ended, or raise the error that ended it.

    :param decision: A decision that ends the wait.
    :param failure: Class of the error for a generation that failed.
    :raises ApimartModerationError: If moderation refused the generation.
    :raises ApimartGenerationFailedError: If it failed for another reason.
    :raises ApimartWaitTimeoutError: If the deadline passed.
    :raises ApimartEmptyResultError: If it is completed without an output or another result.
    :raises ApimartError: The error that ended the wait.
    """
    match decision:
        case WaitDecision(Verdict.COMPLETED, Generation() as generation):
            check_not_empty(generation)
            return generation
        case WaitDecision(Verdict.FAILED, Generation() as generation):
            raise failure_error(generation, failure)
        case WaitDecision(error=errors.ApimartError() as error):
            raise error
    raise TypeError(f"{decision} does not end a wait")


def failure_error(
    generation: Generation, failure: type[errors.ApimartGenerationFailedError] = errors.ApimartGenerationFailedError
) -> errors.ApimartError:
    """
    Return the error for a failed generation.

    :param failure: Class of the error, unless moderation refused the generation.
    """
    reason = _sentence(generation.failure.message) if generation.failure else "No reason given."
    if generation.failure and generation.failure.is_moderation:
        return errors.ApimartModerationError(
            f"{reason} Moderation refused the generation (refunded)",
            advice="Change the prompt or the references: a retry with the same input cannot succeed",
            generation_id=generation.generation_id,
        )
    return failure(
        f"{reason} The generation failed at APIMart (refunded)",
        advice="A retry or a clear of its task submits a new generation",
        generation_id=generation.generation_id,
    )


def _sentence(said: str) -> str:
    words = said.strip() or "No reason given"
    return f"{words[0].upper()}{words[1:]}".rstrip(".") + "."
