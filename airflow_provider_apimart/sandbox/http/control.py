"""Control routes for other processes: the members of :class:`.Sandbox` as JSON under ``/_sandbox``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from aiohttp import web

from airflow_provider_apimart.sandbox.http.server import Server
from airflow_provider_apimart.sandbox.service.faults import Fault


class Control:
    """
    Routes that control and inspect a server.

    :param server: the server
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/_sandbox/state", _read(self._state)),
            web.get("/_sandbox/generations", _read(self._generations)),
            web.get("/_sandbox/requests", _read(lambda: self._server.request_log.requests)),
            web.get("/_sandbox/file-requests", _read(lambda: self._server.file_request_log.requests)),
            web.post("/_sandbox/faults", self._change(self._inject)),
            web.delete("/_sandbox/faults", self._change(lambda _body: self._server.faults.clear())),
            web.post("/_sandbox/clock", self._change(self._advance)),
            web.post("/_sandbox/complete", self._change(lambda _body: self._server.apimart.billing.end_all())),
            web.post("/_sandbox/fail", self._change(self._fail)),
            web.post("/_sandbox/settings", self._change(self._configure)),
            web.post("/_sandbox/reset", self._change(lambda _body: self._server.reset())),
        ]

    def _state(self) -> dict[str, Any]:
        apimart, log = self._server.apimart, self._server.request_log
        return {
            "accepted": apimart.billing.accepted,
            "billed": apimart.billing.billed,
            "dollars": apimart.billing.dollars,
            "uploaded": self._server.files.uploaded,
            "balance": apimart.billing.account(apimart.settings.api_key).balance,
            "requests": log.by_route,
            "refused": log.refused,
            "file_requests": self._server.file_request_log.by_route,
            "now": self._server.clock.now(),
            "ahead": self._server.clock.ahead,
            "faults": [{**asdict(fault), "hits": hits} for fault, hits in self._server.faults],
            "settings": {item.name: getattr(apimart.settings, item.name) for item in fields(apimart.settings)},
        }

    def _generations(self) -> list[Any]:
        return [self._server.apimart.view(generation) for generation in self._server.apimart.billing]

    def _inject(self, body: Mapping[str, Any]) -> None:
        self._server.faults.inject(*[Fault(**fault) for fault in body.get("faults", [body])])

    def _advance(self, body: Mapping[str, Any]) -> None:
        self._server.clock.advance(float(body["advance"]))

    def _fail(self, body: Mapping[str, Any]) -> None:
        self._server.apimart.billing.end(str(body["generation_id"]), str(body.get("reason", "upstream error")))

    def _configure(self, body: Mapping[str, Any]) -> None:
        changes = dict(body)
        for name in ("balance", "account_ratio", "price_factor"):
            if changes.get(name) is not None:
                changes[name] = Decimal(str(changes[name]))
        self._server.apimart.apply(self._server.apimart.settings.changed(changes))

    def _change(self, act: Callable[[Mapping[str, Any]], None]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Apply a change, and reply with the new state."""

        async def respond(request: web.Request) -> web.Response:
            try:
                act(json.loads(await request.read() or b"{}"))
            except (ValueError, TypeError, LookupError) as error:
                return _written({"error": f"{type(error).__name__}: {error}"}, 400)
            return _written(self._state())

        return respond


def _read(look: Callable[[], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(_request: web.Request) -> web.Response:
        return _written(look())

    return respond


def _written(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, text=json.dumps(body, default=_plain), content_type="application/json")


def _plain(value: Any) -> object:
    """Convert decimals to text and views to objects."""
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return dict(value)
