"""Status request of a generation: the routes, in both of APIMart's dialects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from urllib.parse import quote

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.error_mapping import ErrorReply, find_error_reply, free_call_error
from airflow_provider_apimart.api.flow import Flow, ask
from airflow_provider_apimart.api.generation import Generation
from airflow_provider_apimart.api.generation_parsing import read_generation
from airflow_provider_apimart.api.http_messages import Reply, Request

_UNKNOWN_HERE = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE)


class StatusRoutes:
    """
    The routes that may have a generation's status; the one that answered last is asked first.

    The current route is ``/v1/tasks/{id}``, for music ``/v1/music/tasks/{id}``. Installations of the older dialect
    answer 404 there, and have the status below the route of the submit.
    """

    def __init__(self) -> None:
        self._answered: dict[Modality | None, str] = {}

    def answered(self, modality: Modality | None, route: str) -> None:
        """Remember the route that knew a generation of this modality."""
        self._answered[modality] = route

    def in_order(self, modality: Modality | None) -> Sequence[str]:
        """Return the routes to ask, the most likely one first."""
        return _routes(modality, self._answered.get(modality))


@cache
def _routes(modality: Modality | None, likeliest: str | None) -> Sequence[str]:
    modalities = (modality,) if modality else tuple(Modality)
    routes = dict.fromkeys(path for each in modalities for path in each.status_paths)
    return tuple(sorted(routes, key=lambda route: route != likeliest))


def read_status(
    generation_id: str, modality: Modality | None, routes: StatusRoutes, *, model: str | None = None
) -> Flow[Generation]:
    """
    Read a generation's status once.

    :param modality: Modality of the generation, if known: it saves requests in the older dialect.
    :param model: Model of the generation, if known, for replies without it.
    :raises ApimartGenerationNotFoundError: If no route knows the generation.
    :raises ApimartTransientError: If the status could not be read this time.
    :raises ApimartError: If APIMart refused the request.
    """
    refusals: list[ErrorReply] = []
    for route in routes.in_order(modality):
        reply = yield from ask(_request(route, generation_id))
        found = _read(reply, generation_id, modality, model)
        if isinstance(found, Generation):
            routes.answered(modality, route)
            return found
        refusals.append(found)
    raise _not_found(generation_id, refusals)


def _request(route: str, generation_id: str) -> Request:
    return Request("GET", f"{route}/{quote(generation_id, safe='')}?language=en")


def _read(reply: Reply, generation_id: str, modality: Modality | None, model: str | None) -> Generation | ErrorReply:
    """Return the generation, or the reply of a route that does not know it."""
    generation = None
    if reply.status < HTTPStatus.MULTIPLE_CHOICES:
        generation = read_generation(reply.json, generation_id, modality, model, base_url=reply.base_url)
    if generation is not None:
        return generation
    error_reply = find_error_reply(reply)
    if error_reply is None:
        raise errors.ApimartServerError(
            "The status reply cannot be read", status=reply.status, generation_id=generation_id
        )
    error = free_call_error(error_reply)
    is_refused = isinstance(error, errors.ApimartInvalidRequestError) or not error_reply.is_from_apimart
    if error_reply.status in _UNKNOWN_HERE and is_refused:
        return error_reply
    error.generation_id = generation_id
    raise error


def _not_found(generation_id: str, refusals: Sequence[ErrorReply]) -> errors.ApimartError:
    for refusal in refusals:
        if not refusal.is_from_apimart:
            # Somebody in between answered, so APIMart was not asked on every route.
            error = free_call_error(refusal)
            error.generation_id = generation_id
            return error
    refusal = refusals[0]
    return errors.ApimartGenerationNotFoundError(
        f"{refusal.message}. APIMart does not know this generation",
        advice="Check the id, and that the connection's API key belongs to the account that submitted it. Records are "
        "kept for a few days",
        status=refusal.status,
        code=refusal.code,
        request_id=refusal.request_id,
        generation_id=generation_id,
    )
