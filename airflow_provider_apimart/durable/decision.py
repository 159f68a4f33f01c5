"""
Decision table of a try: submit, repeat, resume or stop.

:data:`RULES` is read from the top: the first rule whose condition holds says what a try of a task does about its paid
generation. The table of the documentation is made from it. Two rules apply to the table itself: a rule never submits
while an earlier POST may have been charged, unless a person has decided so by clearing the task; and what can't be read
never counts as "nothing was paid", so it never reaches this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.durable.attempt import Attempt
from airflow_provider_apimart.durable.item_record import ItemRecord


class OnUnknownOutcome(StrEnum):
    """Handling of a submit of unknown outcome, as the user has set it."""

    RETRY_SAME_KEY = "retry_same_key"
    FAIL = "fail"


class Action(StrEnum):
    """Action of a try about its paid generation."""

    SUBMIT = "submit"
    """Submit with the key of this attempt."""
    SUBMIT_NEXT = "submit the next attempt"
    """Submit with a new key."""
    REPEAT = "repeat"
    """Send the identical request with the same key again."""
    READ_STATUS = "read the status"
    """Read the generation's status first, then decide again; never submit if it can't be read."""
    RESUME = "resume"
    """Continue with the generation that exists: wait for it, or return it if it is completed."""
    STOP = "stop"
    """Send nothing; a person has to check and decide."""


class ReadStatus(StrEnum):
    """Status of a generation as this try has read it."""

    NOT_READ = "not read"
    NOT_FOUND = "not found"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def of(cls, status: GenerationStatus) -> ReadStatus:
        """Return the status of a generation that was found."""
        return cls(status.value)


@dataclass(frozen=True)
class Situation:
    """
    Situation that a try of a task finds.

    :param record: All known facts.
    :param fingerprint: The fingerprint of the request that it would send.
    :param clear_marker: ``ti.max_tries`` now.
    :param key_scope: The API key and host for which an idempotency key that is sent now holds.
    :param now: Unix time.
    :param status: The status of the attempt's generation.
    """

    record: ItemRecord
    fingerprint: str
    clear_marker: int
    key_scope: str
    now: float
    on_unknown_outcome: OnUnknownOutcome = OnUnknownOutcome.RETRY_SAME_KEY
    status: ReadStatus = ReadStatus.NOT_READ

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt at this input."""
        return self.record.latest(self.fingerprint)

    @property
    def open_elsewhere(self) -> bool:
        """Whether a submit of another input is of unknown outcome."""
        return any(each.outcome_is_unknown for each in self.record.others(self.fingerprint))

    @property
    def forbids_repeating(self) -> bool:
        """Whether the user forbids to repeat a submit of unknown outcome."""
        return self.on_unknown_outcome is OnUnknownOutcome.FAIL

    def cleared_since(self, marker: int | None) -> bool:
        """Whether a person has cleared the task since a marker was noted; never if none was."""
        return marker is not None and self.clear_marker > marker


@dataclass(frozen=True)
class Rule:
    """
    One row of the protocol.

    :param finds: The condition in words, after "It finds".
    :param does: The action.
    :param reason: The reason why a person has to decide, for :attr:`Action.STOP`.
    :param holds: The condition.
    """

    finds: str
    does: Action
    holds: Callable[[Situation, Attempt], bool]
    reason: str = ""


#: Rules for a try that finds no attempt at its input.
FIRST_RULES = (
    Rule(
        'no record of this input, but a submit of another input of unknown outcome, with ``on_unknown_outcome="fail"``',
        Action.STOP,
        lambda it, _: it.forbids_repeating and it.open_elsewhere,
        'it had another input, and on_unknown_outcome="fail" forbids to submit while it is open',
    ),
    Rule("no record, or records of other inputs only", Action.SUBMIT, lambda it, _: True),
)

#: Rules for a try that finds an attempt at its input.
RULES = (
    Rule("a generation that was seen failed", Action.SUBMIT_NEXT, lambda it, at: at.has_failed),
    Rule(
        "a result that came at once, and the task was cleared after it had returned it",
        Action.SUBMIT_NEXT,
        lambda it, at: at.result is not None and it.cleared_since(at.delivered),
    ),
    Rule("a result that came at once", Action.RESUME, lambda it, at: at.result is not None),
    Rule(
        "a generation's id",
        Action.READ_STATUS,
        lambda it, at: at.generation_id is not None and it.status is ReadStatus.NOT_READ,
    ),
    Rule(
        "a generation that APIMart doesn't know, and the task was cleared after it had returned it, or after a person "
        "was asked to decide",
        Action.SUBMIT_NEXT,
        lambda it, at: (
            it.status is ReadStatus.NOT_FOUND and (it.cleared_since(at.stopped) or it.cleared_since(at.delivered))
        ),
    ),
    Rule(
        "a generation that APIMart doesn't know",
        Action.STOP,
        lambda it, at: it.status is ReadStatus.NOT_FOUND,
        "APIMart doesn't know the generation",
    ),
    Rule(
        "a generation that failed",
        Action.SUBMIT_NEXT,
        lambda it, at: it.status is ReadStatus.FAILED,
    ),
    Rule(
        "a completed generation that the task had returned before a person cleared it",
        Action.SUBMIT_NEXT,
        lambda it, at: it.status is ReadStatus.COMPLETED and it.cleared_since(at.delivered),
    ),
    Rule("a generation that runs or is completed", Action.RESUME, lambda it, at: at.generation_id is not None),
    Rule(
        "a submit that was refused, or was never sent",
        Action.SUBMIT,
        lambda it, at: at.unanswered_since is None,
    ),
    Rule(
        "a submit of unknown outcome, and the task was cleared after a person was asked to decide",
        Action.SUBMIT_NEXT,
        lambda it, at: it.cleared_since(at.stopped),
    ),
    Rule(
        "a submit of unknown outcome, and a person was asked to decide",
        Action.STOP,
        lambda it, at: at.stopped is not None,
        "the task wasn't cleared since a person was asked to decide",
    ),
    Rule(
        'a submit of unknown outcome, with ``on_unknown_outcome="fail"``',
        Action.STOP,
        lambda it, at: it.forbids_repeating,
        'on_unknown_outcome="fail" forbids to repeat it',
    ),
    Rule(
        "a submit of unknown outcome, and the connection's API key or host has changed",
        Action.STOP,
        lambda it, at: at.key_scope != it.key_scope,
        "the connection's API key or host has changed since, and the idempotency key protects only there",
    ),
    Rule(
        "a submit of unknown outcome, whose key is older than 24 hours, or has a time that is still to come",
        Action.STOP,
        lambda it, at: not at.key_is_kept(it.now),
        "the idempotency key is older than the 24 hours for which APIMart keeps it, or the clock was wrong",
    ),
    Rule("a submit of unknown outcome", Action.REPEAT, lambda it, at: True),
)


def decide(situation: Situation) -> Rule:
    """Return the first rule that holds."""
    attempt = situation.attempt
    rules = FIRST_RULES if attempt is None else RULES
    return next(rule for rule in rules if rule.holds(situation, attempt or _NO_ATTEMPT))


_NO_ATTEMPT = Attempt("")
