"""JSON form of a decision about a wait: the event that a trigger sends to the task it resumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.generation import Failure, Generation, generation_from_xcom
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.json_values import JsonObject, mapping, text
from airflow_provider_apimart.api.waiting import Verdict, WaitDecision

# The status that a generation must have for the event to be believed.
_FINAL = {Verdict.COMPLETED: GenerationStatus.COMPLETED, Verdict.FAILED: GenerationStatus.FAILED}


def to_event(decision: WaitDecision) -> dict[str, Any]:
    """Return a decision as a trigger's event: plain JSON without secrets."""
    failure = decision.generation and decision.generation.failure
    return {
        "verdict": decision.verdict.value,
        "generation": decision.generation and decision.generation.to_xcom(),
        "error": decision.error.to_json() if decision.error else None,
        "reason": failure and failure.message,
        "moderation": bool(failure and failure.is_moderation),
    }


def decision_from_event(event: object, generation_id: str | None = None) -> WaitDecision:
    """
    Return the decision that an event describes.

    An event that cannot be read becomes an error: it is never taken for a completed generation.

    :param event: The event that Airflow resumed the task with.
    :param generation_id: The generation that was waited for.
    """
    said = mapping(event)
    verdict, generation, error = said.get("verdict"), _generation(said), mapping(said.get("error"))
    for final, status in _FINAL.items():
        if verdict == final and generation is not None and generation.status is status:
            return WaitDecision(final, generation)
    if verdict in (Verdict.ERROR.value, Verdict.DEADLINE_PASSED.value) and error:
        return WaitDecision(Verdict(verdict), generation, _error(error, generation_id))
    return WaitDecision(Verdict.ERROR, error=_unreadable(event, generation_id))


def _generation(said: JsonObject) -> Generation | None:
    described = mapping(said.get("generation"))
    if not described:
        return None
    generation = generation_from_xcom(described)
    reason = text(said.get("reason"))
    failure = Failure(reason, is_moderation=bool(said.get("moderation"))) if reason else None
    return replace(generation, failure=failure)


def _error(said: JsonObject, generation_id: str | None) -> errors.ApimartError:
    error = errors.error_from_json(said)
    error.generation_id = error.generation_id or generation_id
    return error


def _unreadable(event: object, generation_id: str | None) -> errors.ApimartStatusUnreadableError:
    return errors.ApimartStatusUnreadableError(
        f"The trigger's event {event!r} does not describe the generation",
        advice="The generation keeps running and is charged. A retry of the task resumes waiting for it at no cost",
        generation_id=generation_id,
    )
