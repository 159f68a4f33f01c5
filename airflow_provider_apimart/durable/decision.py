"""What a try of a task does about its paid generation, decided from the record alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_apimart.api.generation import Generation, GenerationStatus
from airflow_provider_apimart.durable.record import RecordState, SubmissionRecord


class OnUnknownOutcome(StrEnum):
    """What the user wants when no one can say whether a submit was charged."""

    RETRY_SAME_KEY = "retry_same_key"
    FAIL = "fail"


@dataclass(frozen=True)
class Submit:
    """
    Submit a generation that was not submitted before.

    :param attempt: Which attempt at this paid work it is.
    :param left_behind: The record of another input or an earlier attempt, which this task won't return any more.
    """

    attempt: int
    left_behind: SubmissionRecord | None = None


@dataclass(frozen=True)
class Repeat:
    """Send the identical request with the same key again: the outcome of the first is unknown."""

    record: SubmissionRecord


@dataclass(frozen=True)
class Resume:
    """Go on with the generation that exists: wait for it, or return it if it is finished."""

    record: SubmissionRecord


@dataclass(frozen=True)
class ReadStatus:
    """The generation's status decides: read it first, and never submit if it can't be read."""

    record: SubmissionRecord
    generation_id: str


@dataclass(frozen=True)
class Stop:
    """
    Send nothing; a person has to look and decide.

    :param reason: Why going on isn't safe.
    """

    record: SubmissionRecord
    reason: str


Step = Submit | Repeat | Resume | ReadStatus | Stop


@dataclass(frozen=True)
class Situation:
    """
    What a try of a task finds.

    :param fingerprint: Of the request it would send.
    :param clear_marker: ``ti.max_tries`` now.
    :param key_scope: Where an idempotency key sent now would protect.
    :param now: Unix time.
    """

    fingerprint: str
    clear_marker: int
    key_scope: str
    now: float
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY

    def first_step(self, record: SubmissionRecord | None) -> Step:
        """Return what to do before anything was asked of the service."""
        if record is None:
            return Submit(attempt=1)
        if record.fingerprint != self.fingerprint:
            return self._with_another_input(record)
        if record.holds_the_result:
            return self._result_at_once(record)
        if record.generation_id is not None:
            return ReadStatus(record, record.generation_id)
        return self._without_generation(record)

    def after_status(self, record: SubmissionRecord, generation: Generation | None) -> Step:
        """
        Return what to do once the status of the record's generation is known.

        :param generation: The generation, ``None`` if the service doesn't know it.
        """
        anew = Submit(record.attempt + 1, left_behind=record)
        if generation is None:
            return anew if self._was_told_and_cleared(record) else Stop(record, "APIMart doesn't know the generation")
        if generation.status is GenerationStatus.FAILED:
            return anew
        if generation.status is GenerationStatus.COMPLETED and self._was_cleared_after_delivery(record):
            return anew
        return Resume(record)

    def _with_another_input(self, record: SubmissionRecord) -> Step:
        if record.outcome_is_unknown and self.on_unknown_outcome is OnUnknownOutcome.FAIL:
            return Stop(
                record, 'it had another input, and on_unknown_outcome="fail" forbids to submit while it is open'
            )
        return Submit(attempt=1, left_behind=record)

    def _result_at_once(self, record: SubmissionRecord) -> Step:
        status = GenerationStatus.of((record.generation or {}).get("status"))
        is_over = status is GenerationStatus.FAILED or self._was_cleared_after_delivery(record)
        return Submit(record.attempt + 1) if is_over else Resume(record)

    def _without_generation(self, record: SubmissionRecord) -> Step:
        if record.state is RecordState.REFUSED:
            return Submit(record.attempt)
        if self._was_told_and_cleared(record):
            return Submit(record.attempt + 1)
        reason = self._reason_to_stop(record)
        return Stop(record, reason) if reason else Repeat(record)

    def _reason_to_stop(self, record: SubmissionRecord) -> str | None:
        if record.state is RecordState.STOPPED:
            return "the task wasn't cleared since"
        if self.on_unknown_outcome is OnUnknownOutcome.FAIL:
            return 'on_unknown_outcome="fail" forbids to repeat it'
        if record.key_scope != self.key_scope:
            return "the connection's API key or host has changed since, and the idempotency key protects only there"
        if not record.key_is_kept(self.now):
            return "the idempotency key is older than the 24 hours for which APIMart keeps it"
        return None

    def _was_told_and_cleared(self, record: SubmissionRecord) -> bool:
        return record.state is RecordState.STOPPED and record.clear_marker != self.clear_marker

    def _was_cleared_after_delivery(self, record: SubmissionRecord) -> bool:
        return record.state is RecordState.DELIVERED and record.clear_marker != self.clear_marker
