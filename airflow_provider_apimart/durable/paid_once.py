"""Obtaining exactly one paid generation: the protocol around the record, as a flow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation, GenerationStatus, generation_from_xcom
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status import StatusRoutes
from airflow_provider_apimart.api.submission import SUBMIT_POLICY, Submission, still_unknown, submit
from airflow_provider_apimart.api.upload import UPLOAD_POLICY
from airflow_provider_apimart.api.waiting import (
    STATUS_POLICY,
    Wait,
    failure_error,
    read_status_with_retries,
)
from airflow_provider_apimart.durable.decision import (
    OnUnknownOutcome,
    ReadStatus,
    Repeat,
    Resume,
    Situation,
    Step,
    Stop,
    Submit,
)
from airflow_provider_apimart.durable.identity import PaidRequest, TaskIdentity, idempotency_key
from airflow_provider_apimart.durable.record import RecordState, SubmissionRecord
from airflow_provider_apimart.durable.store import RecordStore
from airflow_provider_apimart.durable.uploads import StoredUploads, UploadRegistry, upload_all

log = logging.getLogger(__name__)

# More tries than any task has; a service that replays failures beyond them doesn't read the key.
_MOST_FAILED_REPLAYS = 100

_OTHER_UPLOADS = (
    "an earlier try has sent this key with other uploads of the same files (below Airflow 3.3 none are kept from try "
    "to try; ApimartUploadImageOperator, in a task before this one, keeps its URL)"
)


@dataclass(frozen=True)
class PaidOnce:
    """
    One paid generation of one task instance.

    :param task: What the generation is for.
    :param request: What is to be generated.
    :param store: Where its record is kept.
    :param key_scope: Where an idempotency key sent now protects.
    :param uploads: What was uploaded before.
    :param on_submitted: Called when the service has made a new generation.
    :param clock: The Unix time.
    """

    task: TaskIdentity
    request: PaidRequest
    store: RecordStore
    key_scope: str
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY
    routes: StatusRoutes = field(default_factory=StatusRoutes)
    submit_policy: RetryPolicy = SUBMIT_POLICY
    status_policy: RetryPolicy = STATUS_POLICY
    upload_policy: RetryPolicy = UPLOAD_POLICY
    uploads: UploadRegistry = field(default_factory=lambda: StoredUploads(None))
    on_submitted: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time

    def obtain(self) -> Flow[Generation]:
        """
        Return the generation of this task instance: the one that exists, or else a new one.

        :raises ApimartIndeterminateOutcomeError: When only a person can decide whether to pay again.
        :raises ApimartUnknownOutcomeError: When a submit's outcome is unknown; the next try repeats it.
        :raises ApimartGenerationNotFoundError: When APIMart doesn't know the record's generation any more.
        :raises ApimartError: When the submit was refused or the status can't be read. Nothing more was charged.
        """
        situation = self._situation()
        step, generation = situation.first_step(self.store.load()), None
        if isinstance(step, ReadStatus):
            step, generation = yield from self._after_status(situation, step)
        match step:
            case Resume(record):
                return generation or generation_from_xcom(record.generation or {})
            case Repeat(record):
                return (yield from self._repeat(record))
            case Submit():
                return (yield from self._submit(step))
            case Stop(record, reason):
                raise self._stopped(record, reason)
        raise TypeError(f"{step} is no step to take here")

    def _situation(self) -> Situation:
        return Situation(
            fingerprint=self.request.fingerprint,
            clear_marker=self.task.clear_marker,
            key_scope=self.key_scope,
            now=self.clock(),
            on_unknown_outcome=self.on_unknown_outcome,
        )

    def _after_status(self, situation: Situation, step: ReadStatus) -> Flow[tuple[Step, Generation | None]]:
        try:
            generation = yield from self._read_status(step.generation_id, step.record.recorded_at)
        except errors.ApimartGenerationNotFoundError:
            decided = situation.after_status(step.record, None)
            if isinstance(decided, Stop):
                self._note_stop(step.record)
                raise
            return decided, None
        log.info("Generation %s exists already: %s", step.generation_id, generation.status_word)
        return situation.after_status(step.record, generation), generation

    def _read_status(self, generation_id: str, submitted: float | None = None) -> Flow[Generation]:
        wait = Wait.begin(
            generation_id,
            submitted=submitted,
            modality=self.request.modality,
            model=self.request.payload.get("model"),
            now=self.clock(),
        )
        return read_status_with_retries(wait, self.routes, self.status_policy, self.clock)

    def _submit(self, step: Submit) -> Flow[Generation]:
        if step.left_behind:
            self._tell_left_behind(step.left_behind)
        # Before the record: whoever finds it may send the request, and must find all of it.
        uploads = yield from upload_all(self.request.files, self.uploads, self.upload_policy, self.clock)
        for attempt in range(step.attempt, step.attempt + _MOST_FAILED_REPLAYS):
            record = self._new_record(attempt, uploads)
            self.store.save_before_paying(record)
            submission = yield from self._post_refusably(record)
            generation = yield from self._current(submission)
            if generation.status is not GenerationStatus.FAILED or not submission.replayed:
                return _unfailed(generation)
            # Without a record, only the service's replay tells that an earlier try made this attempt and failed.
            log.info("Generation %s of an earlier try has failed; this try makes a new one", generation.generation_id)
        raise errors.ApimartGenerationFailedError(
            f"APIMart answered {_MOST_FAILED_REPLAYS} new idempotency keys with generations that had failed before",
            generation_id=generation.generation_id,
        )

    def _tell_left_behind(self, record: SubmissionRecord) -> None:
        if record.fingerprint == self.request.fingerprint:
            log.info("%s has failed or was delivered before; this try makes a new one", _described(record))
        elif record.generation or record.outcome_is_unknown:
            log.warning("%s is left behind, since the input has changed; this try makes a new one", _described(record))

    def _repeat(self, record: SubmissionRecord) -> Flow[Generation]:
        log.warning(
            "The outcome of an earlier submit is unknown; the identical request is repeated with the same key %s",
            record.idempotency_key,
        )
        try:
            submission = yield from self._post(record)
        except errors.ApimartUnknownOutcomeError:
            raise
        except errors.ApimartError as error:
            # A refused repetition says nothing of the submit that an earlier try made.
            raise self._unknown(record, still_unknown("an earlier try may have sent it", error)) from error
        return _unfailed(submission.generation)

    def _new_record(self, attempt: int, uploads: Mapping[str, str]) -> SubmissionRecord:
        fingerprint = self.request.fingerprint
        return SubmissionRecord(
            state=RecordState.SENDING,
            fingerprint=fingerprint,
            clear_marker=self.task.clear_marker,
            attempt=attempt,
            idempotency_key=idempotency_key(self.task, fingerprint, attempt),
            key_scope=self.key_scope,
            recorded_at=self.clock(),
            uploads=uploads,
        )

    def _post_refusably(self, record: SubmissionRecord) -> Flow[Submission]:
        try:
            return (yield from self._post(record))
        except errors.ApimartUnknownOutcomeError:
            raise
        except errors.ApimartError as error:
            if record.uploads and isinstance(error, errors.ApimartIdempotencyKeyReusedError):
                raise self._stopped(record, _OTHER_UPLOADS) from error
            self.store.save_after_paying(record.refused())
            raise

    def _post(self, record: SubmissionRecord) -> Flow[Submission]:
        policy = self.submit_policy
        if self._must_not_repeat:
            policy = replace(policy, unknown_tries=1)
        body = self.request.body(record.uploads)
        try:
            submission = yield from submit(self.request.modality, body, record.idempotency_key, policy)
        except errors.ApimartUnknownOutcomeError as error:
            raise self._unknown(record, error) from error
        self.store.save_after_paying(record.submitted(submission.generation))
        if not submission.replayed:
            self.on_submitted()
        if submission.may_be_paid_twice:
            log.warning(
                "An earlier submit with idempotency key %s was lost, and its repetition was taken as new (generation "
                "%s). Should the earlier one have arrived after all, the service ignores the key and charged twice",
                record.idempotency_key,
                submission.generation.generation_id,
            )
        return submission

    def _unknown(
        self, record: SubmissionRecord, error: errors.ApimartUnknownOutcomeError
    ) -> errors.ApimartUnknownOutcomeError:
        """Return what to raise; where only a person can decide, that they were told is noted."""
        if isinstance(error, errors.ApimartIndeterminateOutcomeError) or self._must_not_repeat:
            return self._stopped(record, error.message)
        return errors.ApimartUnknownOutcomeError(
            f"{error.message}. Whether the {self._sent(record)} runs is unknown. A retry or a clear of the task within "
            "24 hours repeats the identical request with the same key, which isn't charged twice; with neither, look "
            "for it in APIMart's log",
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        )

    @property
    def _must_not_repeat(self) -> bool:
        return self.on_unknown_outcome is OnUnknownOutcome.FAIL

    def _note_stop(self, record: SubmissionRecord) -> None:
        self.store.save_after_paying(record.stopped(self.task.clear_marker))

    def _stopped(self, record: SubmissionRecord, reason: str) -> errors.ApimartIndeterminateOutcomeError:
        self._note_stop(record)
        return errors.ApimartIndeterminateOutcomeError(
            f"Whether the {self._sent(record)} runs is unknown, and it is not repeated: {reason}. ReadStatus for it in "
            "APIMart's log at that time. If it is there, take its id; if not, or if you want to pay for a new one "
            "anyway, clear this task: that submits anew"
        )

    def _sent(self, record: SubmissionRecord) -> str:
        model = self.request.payload.get("model")
        key = record.idempotency_key
        return f"{self.request.modality} generation of {model} submitted at {record.sent_at} with idempotency key {key}"

    def _current(self, submission: Submission) -> Flow[Generation]:
        """Return a replayed generation as it is by now: the replay repeats what was said at the beginning."""
        generation_id = submission.generation.generation_id
        if not submission.replayed or generation_id is None or submission.generation.status.is_final:
            return submission.generation
        return (yield from self._read_status(generation_id))


def _described(record: SubmissionRecord) -> str:
    if record.generation_id:
        return f"Generation {record.generation_id}"
    return f"The submit of {record.sent_at} with idempotency key {record.idempotency_key}, which may have been charged,"


def _unfailed(generation: Generation) -> Generation:
    """Return a generation that hasn't failed, and raise what a failed one is."""
    if generation.status is GenerationStatus.FAILED:
        raise failure_error(generation)
    return generation
