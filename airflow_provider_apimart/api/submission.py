"""Submit of a generation: its retries, and its reply in all documented shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.error_mapping import find_error_reply, submit_error
from airflow_provider_apimart.api.flow import Flow, ask, retrying
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_parsing import read_generation, task_record
from airflow_provider_apimart.api.generation_status import GenerationStatus
from airflow_provider_apimart.api.http_messages import Reply, generation_request
from airflow_provider_apimart.api.json_values import items, mapping, text
from airflow_provider_apimart.api.retry import RetryPolicy


@dataclass(frozen=True)
class Submission:
    """
    An accepted submit.

    :param generation: The generation as the reply describes it: mostly its id, rarely its result.
    :param replayed: Whether APIMart repeated the reply to an earlier submit, and charged nothing for this one.
    :param after_lost_try: Whether the outcome of an earlier try was unknown.
    :param others: Further generations in the reply. There are usually none; all of them are charged.
    """

    generation: Generation
    replayed: bool = False
    after_lost_try: bool = False
    others: tuple[Generation, ...] = ()

    @property
    def generations(self) -> tuple[Generation, ...]:
        """All generations in the reply."""
        return (self.generation, *self.others)

    @property
    def may_be_paid_twice(self) -> bool:
        """
        Whether an earlier try was lost and this one was taken as new.

        Either the earlier one never arrived, or the service ignores the idempotency key.
        """
        return self.after_lost_try and not self.replayed


_SUBMITTED = "submitted"
SUBMIT_POLICY = RetryPolicy(max_requests=8, seconds=600.0, rate_limited_seconds=3600.0)


def submit(
    modality: Modality,
    payload: Mapping[str, object],
    idempotency_key: str,
    policy: RetryPolicy = SUBMIT_POLICY,
    *,
    before_post: Callable[[], None] = lambda: None,
    on_lost: Callable[[], None] = lambda: None,
) -> Flow[Submission]:
    """
    Submit one generation. After a transient error, the identical request is repeated with the same key.

    :param policy: Bounds the requests, among them those after an unknown outcome.
    :param before_post: Called before every POST, repetitions included. If it raises, the POST is not sent.
    :param on_lost: Called when a POST was sent whose outcome is unknown.
    :raises ApimartUnknownOutcomeError: If it is unknown whether the generation runs; also if the outcome of the first
        try is unknown and a later try was refused, since the refusal says nothing about the first.
    :raises ApimartError: If the submit was refused, or never reached APIMart. Nothing was charged.
    """
    lost: list[errors.ApimartUnknownOutcomeError] = []

    def note_lost(error: errors.ApimartUnknownOutcomeError) -> None:
        lost.append(error)
        on_lost()

    try:
        submission = yield from retrying(
            lambda: _submit_once(modality, payload, idempotency_key, before_post, note_lost), policy
        )
        return replace(submission, after_lost_try=bool(lost))
    except errors.ApimartUnknownOutcomeError as error:
        if len(lost) > 1 and isinstance(error, errors.ApimartIdempotencyKeyReusedError):
            raise still_unknown(lost[0].message, error) from error
        raise
    except errors.ApimartError as error:
        if not lost:
            raise
        raise still_unknown(lost[0].message, error) from error


def _submit_once(
    modality: Modality,
    payload: Mapping[str, object],
    idempotency_key: str,
    before_post: Callable[[], None],
    note_lost: Callable[[errors.ApimartUnknownOutcomeError], None],
) -> Flow[Submission]:
    before_post()
    try:
        reply = yield from ask(generation_request(modality, payload, idempotency_key))
        return _read_submission(reply, modality, text(payload.get("model")))
    except errors.ApimartUnknownOutcomeError as error:
        note_lost(error)
        raise


def still_unknown(earlier: str, last: errors.ApimartError) -> errors.ApimartUnknownOutcomeError:
    """
    Return the error for a refused repetition. The refusal says nothing about the first submit.

    If APIMart has the key for another request, further repetitions are pointless.

    :param earlier: The result of the first submit.
    :param last: The refusal.
    """
    stops = isinstance(last, errors.ApimartIdempotencyKeyReusedError)
    kind = errors.ApimartIndeterminateOutcomeError if stops else errors.ApimartUnknownOutcomeError
    return kind(
        f"The outcome of a submit is unknown ({earlier}), and its repetition was refused ({last.message})",
        status=last.status,
        code=last.code,
        request_id=last.request_id,
    )


def _read_submission(reply: Reply, modality: Modality, model: str | None) -> Submission:
    generation = _accepted(reply, modality)
    if generation is None:
        error_reply = find_error_reply(reply)
        raise submit_error(error_reply) if error_reply else _unreadable(reply)
    replayed = (reply.header(contract.REPLAYED_HEADER) or "").lower() == "true"
    others = [_submitted(each, None) for each in _further_ids(reply.json) if each != generation.generation_id]
    first, *rest = (each.known_as(modality=modality, model=model) for each in (generation, *others))
    return Submission(first, replayed, others=tuple(rest))


def _accepted(reply: Reply, modality: Modality) -> Generation | None:
    if not 200 <= reply.status < 300:
        return None
    body = reply.json
    record, generation_id = task_record(body), _generation_id(body)
    if record.get("object") == "generation.result":
        result = read_generation(body, generation_id, modality, base_url=reply.base_url)
        if result and result.status.is_final:
            return result
    return _submitted(generation_id, record.get("status")) if generation_id else None


def _submitted(generation_id: str, status: object) -> Generation:
    word = (text(status) if isinstance(status, str) else None) or _SUBMITTED
    # A final word comes too early to be believed: only the status route counts.
    word = _SUBMITTED if GenerationStatus.of(word).is_final else word.lower()
    return Generation(generation_id, GenerationStatus.RUNNING, word)


def _generation_id(body: object) -> str | None:
    places = [*items(mapping(body).get("data"))[:1], body]
    ids = (text(mapping(place).get(name)) for place in places for name in ("task_id", "id"))
    return next(filter(None, ids), None)


def _further_ids(body: object) -> list[str]:
    """Return the ids that the reply names beside the first one."""
    data = mapping(body).get("data")
    records = data[1:] if isinstance(data, list) else []
    ids = (text(mapping(record).get("task_id")) or text(mapping(record).get("id")) for record in records)
    return list(dict.fromkeys(filter(None, ids)))


def _unreadable(reply: Reply) -> errors.ApimartUnknownOutcomeError:
    return errors.ApimartUnknownOutcomeError(
        "The submit was answered with success but without a generation's id",
        status=reply.status,
        request_id=reply.header(contract.REQUEST_ID_HEADER),
    )
