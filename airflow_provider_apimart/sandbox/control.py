"""The control plane: the same steering and reading as in Python, for other processes, as JSON under ``/_sandbox``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from aiohttp import web

from airflow_provider_apimart.sandbox.faults import Fault
from airflow_provider_apimart.sandbox.server import Server


class Control:
    """
    Routes to steer a server by.

    :param server: the server to steer
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/_sandbox/state", _read(self._state)),
            web.get("/_sandbox/generations", _read(self._generations)),
            web.get("/_sandbox/requests", _read(lambda: self._server.journal.requests)),
            web.get("/_sandbox/file-requests", _read(lambda: self._server.file_journal.requests)),
            web.post("/_sandbox/faults", self._steer(self._inject)),
            web.delete("/_sandbox/faults", self._steer(lambda _wish: self._server.faults.clear())),
            web.post("/_sandbox/clock", self._steer(self._advance)),
            web.post("/_sandbox/complete", self._steer(lambda _wish: self._server.apimart.ledger.end_all())),
            web.post("/_sandbox/fail", self._steer(self._fail)),
            web.post("/_sandbox/settings", self._steer(self._configure)),
            web.post("/_sandbox/reset", self._steer(lambda _wish: self._server.reset())),
        ]

    def _state(self) -> dict[str, Any]:
        apimart, journal = self._server.apimart, self._server.journal
        return {
            "accepted": apimart.ledger.accepted,
            "billed": apimart.ledger.billed,
            "dollars": apimart.ledger.dollars,
            "uploaded": self._server.files.uploaded,
            "balance": apimart.ledger.account(apimart.settings.api_key).balance,
            "requests": journal.by_route,
            "refused": journal.refused,
            "file_requests": self._server.file_journal.by_route,
            "now": self._server.clock.now(),
            "ahead": self._server.clock.ahead,
            "faults": [{**asdict(fault), "struck": struck} for fault, struck in self._server.faults],
            "settings": {item.name: getattr(apimart.settings, item.name) for item in fields(apimart.settings)},
        }

    def _generations(self) -> list[Any]:
        return [self._server.apimart.view(generation) for generation in self._server.apimart.ledger]

    def _inject(self, wish: Mapping[str, Any]) -> None:
        self._server.faults.inject(*[Fault(**fault) for fault in wish.get("faults", [wish])])

    def _advance(self, wish: Mapping[str, Any]) -> None:
        self._server.clock.advance(float(wish["advance"]))

    def _fail(self, wish: Mapping[str, Any]) -> None:
        self._server.apimart.ledger.end(str(wish["generation_id"]), str(wish.get("reason", "upstream error")))

    def _configure(self, wish: Mapping[str, Any]) -> None:
        changes = dict(wish)
        if changes.get("balance") is not None:
            changes["balance"] = Decimal(str(changes["balance"]))
        self._server.apimart.apply(self._server.apimart.settings.changed(changes))

    def _steer(self, act: Callable[[Mapping[str, Any]], None]) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Take a wish, fulfil it, and answer with the state it led to."""

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
    """Turn what JSON doesn't know into what it does: money into exact text, views into objects."""
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return dict(value)
