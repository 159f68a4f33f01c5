"""Protocol of one paid generation of a task instance: a flow that reads and writes the record."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.flow import Flow
from airflow_provider_apimart.api.generation import Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject
from airflow_provider_apimart.api.retry import RetryPolicy
from airflow_provider_apimart.api.status_request import StatusRoutes
from airflow_provider_apimart.api.submission import SUBMIT_POLICY, Submission, still_unknown, submit
from airflow_provider_apimart.api.upload import UPLOAD_POLICY
from airflow_provider_apimart.api.waiting import (
    STATUS_POLICY,
    Wait,
    failure_error,
    read_status_with_retries,
)
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.decision import Action, OnUnknownOutcome, ReadStatus, Rule, Situation, decide
from airflow_provider_apimart.durable.facts import FactKind
from airflow_provider_apimart.durable.idempotency_key import idempotency_key, key_is_kept
from airflow_provider_apimart.durable.item_record import ItemRecord
from airflow_provider_apimart.durable.paid_request import PaidRequest
from airflow_provider_apimart.durable.record import Record, only_logged
from airflow_provider_apimart.durable.task_identity import TaskIdentity
from airflow_provider_apimart.durable.uploads import RecordedUploads, UploadRegistry, upload_all

log = logging.getLogger(__name__)

# More tries than any task has; a service that replays failures beyond them doesn't read the key.
_MOST_FAILED_REPLAYS = 100


@dataclass(frozen=True)
class PaidOnce:
    """
    One paid generation of one task instance.

    :param task: The identity of the task instance, or of an item in it.
    :param request: The request.
    :param record: The record of its facts.
    :param key_scope: The API key and host for which an idempotency key that is sent now holds.
    :param known_uploads: Earlier uploads; by default those in the record.
    :param before_submit: Starts a flow that runs before a new generation is submitted, and before its references are
        uploaded. It returns the request's quote as plain JSON, for the record. What it raises keeps the POST from being
        sent. The repetition of a lost submit isn't a new one.
    :param on_submitted: Called with the new generation when the service has made one. One whose reply was lost is new
        when it is known.
    :param on_failed: Called with a generation that this try finds failed, and in whose place it makes a new one.
    :param clock: The Unix time.
    """

    task: TaskIdentity
    request: PaidRequest
    record: Record
    key_scope: str
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY
    routes: StatusRoutes = field(default_factory=StatusRoutes)
    submit_policy: RetryPolicy = SUBMIT_POLICY
    status_policy: RetryPolicy = STATUS_POLICY
    upload_policy: RetryPolicy = UPLOAD_POLICY
    known_uploads: UploadRegistry | None = None
    before_submit: Callable[[], Flow[JsonObject | None]] | None = None
    on_submitted: Callable[[Generation], None] = lambda _: None
    on_failed: Callable[[Generation], None] = lambda _: None
    clock: Callable[[], float] = time.time

    @cached_property
    def _fingerprint(self) -> str:
        return self.request.fingerprint

    def obtain(self) -> Flow[Generation]:
        """
        Return the generation of this task instance: the one that exists, or else a new one.

        :raises ApimartIndeterminateOutcomeError: If only a person can decide whether to pay again.
        :raises ApimartUnknownOutcomeError: If the outcome of a submit is unknown; the next try repeats it.
        :raises ApimartGenerationNotFoundError: If APIMart no longer knows the generation in the record.
        :raises ApimartRecordError: If the record can't be read.
        :raises ApimartSupersededError: If a newer try of the task has begun.
        :raises ApimartError: If the submit was refused or the status can't be read. Nothing more was charged.
        """
        situation = self._situation()
        rule, generation = decide(situation), None
        attempt = situation.attempt
        if rule.does is Action.READ_STATUS and attempt is not None:
            rule, generation = yield from self._after_reading(situation, attempt)
        match rule.does, attempt:
            case Action.RESUME, Attempt():
                return generation or _result_of(attempt)
            case Action.REPEAT, Attempt():
                return (yield from self._repeat(attempt))
            case Action.SUBMIT | Action.SUBMIT_NEXT, _:
                return (yield from self._submit(self._next_number(rule, attempt), situation))
            case Action.STOP, _:
                raise self._stopped(attempt or _open_attempt(situation), rule.reason)
        raise TypeError(f"{rule} can't be followed here")

    def _situation(self) -> Situation:
        return Situation(
            record=self.record.read(),
            fingerprint=self._fingerprint,
            clear_marker=self.task.clear_marker,
            key_scope=self.key_scope,
            now=self.clock(),
            on_unknown_outcome=self.on_unknown_outcome,
        )

    @staticmethod
    def _next_number(rule: Rule, attempt: Attempt | None) -> int:
        number = attempt.number if attempt else 1
        return number + 1 if rule.does is Action.SUBMIT_NEXT else number

    def _after_reading(self, situation: Situation, attempt: Attempt) -> Flow[tuple[Rule, Generation | None]]:
        try:
            generation = yield from self._read_status(str(attempt.generation_id), attempt.first_sent)
        except errors.ApimartGenerationNotFoundError:
            rule = decide(replace(situation, status=ReadStatus.NOT_FOUND))
            if rule.does is Action.STOP:
                self._note_stop(attempt)
                raise
            return rule, None
        log.info("Generation %s exists already: %s", attempt.generation_id, generation.status_word)
        if generation.status is GenerationStatus.FAILED:
            self._note_end(attempt.key, generation)
            self.on_failed(generation)
        return decide(replace(situation, status=ReadStatus.of(generation.status))), generation

    def _read_status(self, generation_id: str, sent_at: float) -> Flow[Generation]:
        wait = Wait.begin(
            generation_id,
            submitted=sent_at or None,
            modality=self.request.modality,
            model=self.request.payload.get("model"),
            now=self.clock(),
        )
        return read_status_with_retries(wait, self.routes, self.status_policy, self.clock)

    def _submit(self, first: int, situation: Situation) -> Flow[Generation]:
        self._report_earlier(situation)
        quote = (yield from self.before_submit()) if self.before_submit else None
        # Before the record: a try that finds it may send the request, and must find all of it.
        registry = self.known_uploads or RecordedUploads(self.record)
        uploads = yield from upload_all(self.request.files, registry, self.upload_policy, self.clock)
        for number in range(first, first + _MOST_FAILED_REPLAYS):
            key = idempotency_key(self.task, self._fingerprint, number)
            submission = yield from self._post(key, number, uploads, None, quote)
            generation = yield from self._current(submission)
            if generation.status is not GenerationStatus.FAILED or not submission.replayed:
                return self._unfailed(key, generation)
            # Where the record was lost, only the service's replay shows that an earlier try made this attempt.
            log.info(
                "Generation %s of an earlier try failed (refunded); this try makes a new one", generation.generation_id
            )
            self._note_end(key, generation)
            self.on_failed(generation)
        raise errors.ApimartGenerationFailedError(
            f"APIMart answered {_MOST_FAILED_REPLAYS} new idempotency keys with generations that had failed before",
            generation_id=generation.generation_id,
        )

    def _report_earlier(self, situation: Situation) -> None:
        attempt = situation.attempt
        if attempt is not None and attempt.generation is not None:
            why = "failed (refunded)" if attempt.has_failed else "has ended or was returned before"
            log.info("%s %s; this try makes a new one", _described(attempt), why)
        for other in situation.record.others(self._fingerprint):
            if other.may_be_charged and other.delivered is None:
                log.warning(
                    "%s is left behind, since the input has changed; this try makes a new one", _described(other)
                )

    def _repeat(self, attempt: Attempt) -> Flow[Generation]:
        log.warning(
            "The outcome of an earlier submit is unknown; the identical request is repeated with the same key %s",
            attempt.key,
        )
        first_sent = attempt.unanswered_since
        try:
            submission = yield from self._post(attempt.key, attempt.number, attempt.uploads, first_sent, attempt.quote)
        except (errors.ApimartUnknownOutcomeError, errors.ApimartSupersededError):
            raise
        except errors.ApimartError as error:
            # A refused repetition says nothing of the submit that an earlier try made.
            raise self._unknown(attempt.key, still_unknown("an earlier try may have sent it", error)) from error
        generation = yield from self._current(submission)
        return self._unfailed(attempt.key, generation)

    def _post(
        self,
        key: str,
        number: int,
        uploads: Mapping[str, str],
        unanswered_since: float | None,
        quote: JsonObject | None,
    ) -> Flow[Submission]:
        """
        Send a POST, with a fact before it and another one after it.

        :param unanswered_since: When an earlier POST with this key was sent whose outcome is unknown, if there is one.
        """
        send = secrets.token_hex(6)
        self._note_sending(key, number, uploads, send, quote)
        policy = replace(self.submit_policy, max_unknown=1) if self._must_not_repeat else self.submit_policy
        gate = _Gate(self.record, unanswered_since, self.clock)
        try:
            submission = yield from submit(
                self.request.modality, self.request.body(uploads), key, policy, before_post=gate.open, on_lost=gate.lost
            )
        except errors.ApimartUnknownOutcomeError as error:
            raise self._unknown(key, error) from error
        except errors.ApimartError as error:
            with only_logged("That the submit was refused"):
                self.record.note(FactKind.REFUSED, key=key, send=send, reason=error.message)
            raise
        self._note_submission(key, submission, is_new=not submission.replayed or gate.has_lost)
        return submission

    def _note_sending(
        self, key: str, number: int, uploads: Mapping[str, str], send: str, quote: JsonObject | None
    ) -> None:
        self.record.note(
            FactKind.SENDING,
            key=key,
            send=send,
            fingerprint=self._fingerprint,
            attempt=number,
            clear_marker=self.task.clear_marker,
            key_scope=self.key_scope,
            uploads=dict(uploads),
            modality=self.request.modality.value,
            request=self.request.payload,
            quote=quote,
        )

    def _note_submission(self, key: str, submission: Submission, *, is_new: bool) -> None:
        for generation in submission.generations:
            # The id is enough to ask for everything else; a result that came at once can't be asked for.
            known = generation.to_xcom() if generation.status.is_final else {"generation_id": generation.generation_id}
            with only_logged(f"Generation {generation.generation_id}"):
                self.record.note(FactKind.SUBMITTED, key=key, generation=known)
        if submission.others:
            log.warning(
                "APIMart made %d generations for one submit. This task waits for %s; the others are paid for too: %s",
                len(submission.generations),
                submission.generation.generation_id,
                ", ".join(str(each.generation_id) for each in submission.others),
            )
        if is_new:
            self.on_submitted(submission.generation)
        if submission.may_be_paid_twice:
            log.warning(
                "An earlier submit with idempotency key %s was lost, and its repetition was taken as new (generation "
                "%s). If the earlier one has arrived after all, the service ignores the key and charged twice",
                key,
                submission.generation.generation_id,
            )

    def _unfailed(self, key: str, generation: Generation) -> Generation:
        """Return a generation that hasn't failed; note the end of one that has, and raise its error."""
        if generation.status is GenerationStatus.FAILED:
            self._note_end(key, generation)
            raise failure_error(generation)
        return generation

    def _note_end(self, key: str, generation: Generation) -> None:
        with only_logged(f"The end of generation {generation.generation_id}"):
            note_end(self.record, key, generation)

    def _unknown(self, key: str, error: errors.ApimartUnknownOutcomeError) -> errors.ApimartUnknownOutcomeError:
        """Return what to raise; where only a person can decide, that they were asked is noted."""
        attempt = self._attempt(key)
        if isinstance(error, errors.ApimartIndeterminateOutcomeError) or self._must_not_repeat:
            return self._stopped(attempt, error.message)
        return errors.ApimartUnknownOutcomeError(
            f"{error.message}. Whether the {self._sent(attempt)} runs is unknown. A retry or a clear of the task "
            "within 24 hours repeats the identical request with the same key, which isn't charged twice; with neither, "
            "look for it in APIMart's log",
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        )

    def _attempt(self, key: str) -> Attempt:
        return self.record.read().attempts[key]

    @property
    def _must_not_repeat(self) -> bool:
        return self.on_unknown_outcome is OnUnknownOutcome.FAIL

    def _note_stop(self, attempt: Attempt) -> None:
        with only_logged("That a person has to decide"):
            self.record.note(FactKind.STOPPED, key=attempt.key, clear_marker=self.task.clear_marker)

    def _stopped(self, attempt: Attempt, reason: str) -> errors.ApimartIndeterminateOutcomeError:
        self._note_stop(attempt)
        return errors.ApimartIndeterminateOutcomeError(
            f"Whether the {self._sent(attempt)} runs is unknown, and it is not repeated: {reason}. Look for it in "
            "APIMart's log at that time. If it is there, give its id to an ApimartGenerationSensor; if not, or if you "
            "want to pay for a new one anyway, clear this task: that submits a new generation"
        )

    def _sent(self, attempt: Attempt) -> str:
        model = attempt.request.get("model") or self.request.payload.get("model")
        return (
            f"{self.request.modality} generation of {model} submitted at {attempt.sent_at} with idempotency key "
            f"{attempt.key}"
        )

    def _current(self, submission: Submission) -> Flow[Generation]:
        """Return a replayed generation as it is by now: the replay repeats what was said at the beginning."""
        generation_id = submission.generation.generation_id
        if not submission.replayed or generation_id is None or submission.generation.status.is_final:
            return submission.generation
        return (yield from self._read_status(generation_id, self.clock()))


class _Gate:
    """
    Opens before every POST: nothing passes that the record doesn't hold, that a newer try forbids, or whose key is old.

    :param unanswered_since: Unix time of the first POST with this key whose outcome is unknown, if there is one.
    """

    def __init__(self, record: Record, unanswered_since: float | None, clock: Callable[[], float]) -> None:
        self._record = record
        self._unanswered_since = unanswered_since
        self._clock = clock

    def open(self) -> None:
        """
        Return if a POST may follow.

        :raises ApimartIndeterminateOutcomeError: If an earlier POST may have been charged, and APIMart keeps its key no
            longer.
        :raises ApimartError: What the record raises.
        """
        if not key_is_kept(self._unanswered_since, self._clock()):
            raise errors.ApimartIndeterminateOutcomeError(
                "An earlier submit is unanswered, and its idempotency key is by now older than the 24 hours for which "
                "APIMart keeps it, or the clock was wrong"
            )
        self._record.before_post()

    @property
    def has_lost(self) -> bool:
        """Whether a POST with this key remained unanswered."""
        return self._unanswered_since is not None

    def lost(self) -> None:
        """Note that the POST that was sent just now remains unanswered."""
        if self._unanswered_since is None:
            self._unanswered_since = self._clock()


def note_end(record: Record, key: str, generation: Generation) -> None:
    """Note that a generation has ended, with everything that is known of it."""
    failure = generation.failure
    record.note(
        FactKind.ENDED,
        key=key,
        generation=generation.to_xcom(),
        reason=failure.message if failure else None,
        moderated=bool(failure and failure.is_moderation),
    )


def note_first_end(record: Record, generation: Generation) -> bool:
    """Note that a task's generation has ended, and return whether no earlier try has noted it."""
    is_first = True
    with only_logged(f"The end of generation {generation.generation_id}"):
        for attempt in _attempts_at(generation, record.read()):
            known = attempt.ended.get(generation.generation_id or "")
            is_first = is_first and known is None
            if known is None or _says_more(generation, known.details["generation"]):
                note_end(record, attempt.key, generation)
    return is_first


def _attempts_at(generation: Generation, known: ItemRecord) -> list[Attempt]:
    """Return the attempts at a generation. A result without an id is told from others by its outputs."""
    attempts = known.attempts_with(generation.generation_id)
    if generation.generation_id is not None:
        return attempts
    outputs = generation.to_xcom()["outputs"]
    return [each for each in attempts if each.result and each.result.to_xcom()["outputs"] == outputs]


def _says_more(generation: Generation, known: JsonObject) -> bool:
    has_newer_cost = generation.cost is not None and known.get("cost") is None
    return has_newer_cost or len(generation.outputs) > len(known.get("outputs") or ())


def recorded_generation(record: Record, generation_id: str | None) -> Generation | None:
    """Return a completed generation as the record has it, ``None`` if it has no id or wasn't seen completed."""
    if generation_id is None:
        return None
    completed = (each for each in record.read().attempts_with(generation_id) if each.is_completed)
    return next((generation_from_xcom(each.generation or {}) for each in completed), None)


def note_delivery(record: Record, generation_id: str | None, clear_marker: int) -> None:
    """
    Note that the task returns its generation, so that a later clear makes a new one.

    :param clear_marker: ``ti.max_tries`` now: the task may have been cleared since the submit.
    """
    with only_logged(f"The delivery of generation {generation_id}"):
        for attempt in record.read().attempts_with(generation_id):
            record.note(FactKind.DELIVERED, key=attempt.key, clear_marker=clear_marker)


def recorded_quote(record: Record, generation_id: str | None) -> JsonObject | None:
    """Return what a generation was quoted at before it was sent, as plain JSON; ``None`` where that isn't known."""
    return next((each.quote for each in record.read().attempts_with(generation_id)), None)


def _open_attempt(situation: Situation) -> Attempt:
    return next(each for each in situation.record.others(situation.fingerprint) if each.outcome_is_unknown)


def _result_of(attempt: Attempt) -> Generation:
    if attempt.result is None:
        raise TypeError("the record holds no result")
    return attempt.result


def _described(attempt: Attempt) -> str:
    if attempt.generation_id:
        return f"Generation {attempt.generation_id}"
    return f"The submit of {attempt.sent_at} with idempotency key {attempt.key}, which may have been charged,"
