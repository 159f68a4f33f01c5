"""The record of a submit: what is known of one paid generation, from before its POST to its delivery."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from airflow_provider_apimart.api.contract import IDEMPOTENCY_KEY_LIFETIME
from airflow_provider_apimart.api.generation import Generation


class RecordState(StrEnum):
    """How far a submit has come."""

    SENDING = "sending"
    """The POST may have been sent: its outcome is unknown."""
    REFUSED = "refused"
    """The POST was answered, and nothing was charged."""
    STOPPED = "stopped"
    """A person was told that they have to decide. Clearing the task after that is their decision to pay anew."""
    SUBMITTED = "submitted"
    """The generation exists and its id is known."""
    DELIVERED = "delivered"
    """The task handed the generation on."""


@dataclass(frozen=True)
class SubmissionRecord:
    """
    What is known of one paid generation.

    :param fingerprint: Of the full request, see :class:`~airflow_provider_apimart.durable.identity.PaidRequest`.
    :param clear_marker: ``ti.max_tries`` when it was submitted, delivered, or when a person was told to decide.
    :param attempt: Which attempt at this paid work it is; upstream failures count it up.
    :param idempotency_key: The key that was sent.
    :param key_scope: Where the key protects.
    :param recorded_at: Unix time before the first POST with this key.
    :param generation: The generation as soon as it is known: its id, or all of it where the result came at once.
    :param uploads: The URLs that were sent in place of files: a repetition sends the same ones, or else it wouldn't be
        the identical request.
    """

    state: RecordState
    fingerprint: str
    clear_marker: int
    attempt: int
    idempotency_key: str
    key_scope: str
    recorded_at: float
    generation: Mapping[str, Any] | None = None
    uploads: Mapping[str, str] = field(default_factory=dict)

    @property
    def generation_id(self) -> str | None:
        """APIMart's id of the generation, ``None`` while it isn't known."""
        return (self.generation or {}).get("generation_id")

    @property
    def sent_at(self) -> str:
        """When it was first submitted, as a person looks for it in the service's log."""
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.recorded_at))

    @property
    def holds_the_result(self) -> bool:
        """Whether the generation's result came at once, so that there is no task whose status could be asked for."""
        return "status" in (self.generation or {})

    @property
    def outcome_is_unknown(self) -> bool:
        """Whether a submit may have been charged whose generation isn't known."""
        return self.generation is None and self.state is RecordState.SENDING

    def key_is_kept(self, now: float) -> bool:
        """Whether APIMart still keeps the key, so that the identical request isn't charged a second time."""
        return now - self.recorded_at < IDEMPOTENCY_KEY_LIFETIME.total_seconds()

    def refused(self) -> SubmissionRecord:
        """Return the record after a refusal that says that nothing was charged."""
        return replace(self, state=RecordState.REFUSED)

    def stopped(self, clear_marker: int) -> SubmissionRecord:
        """Return the record after a person was told that they have to decide."""
        return replace(self, state=RecordState.STOPPED, clear_marker=clear_marker)

    def submitted(self, generation: Generation) -> SubmissionRecord:
        """Return the record with the generation that the service made."""
        # The id is enough to ask for everything else; a result that came at once can't be asked for.
        known = generation.to_xcom() if generation.status.is_final else {"generation_id": generation.generation_id}
        return replace(self, state=RecordState.SUBMITTED, generation=known)

    def delivered(self, clear_marker: int) -> SubmissionRecord:
        """Return the record of a generation that the task handed on; a clear counts from then on."""
        return replace(self, state=RecordState.DELIVERED, clear_marker=clear_marker)

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON."""
        return {**asdict(self), "state": self.state.value}


def record_from_json(value: object) -> SubmissionRecord | None:
    """
    Return the record that :meth:`SubmissionRecord.to_json` wrote, or ``None`` if there is none.

    :raises ValueError: If something is there that is no record: paying on top of it would be a guess.
    """
    if value is None:
        return None
    try:
        facts = dict(value)  # type: ignore[call-overload]  # what isn't a mapping is refused below
        return SubmissionRecord(**{**facts, "state": RecordState(facts["state"])})
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"The stored record of the submit can't be read: {value!r}") from error
