"""Shared transport of all waits of a connection in a triggerer: one HTTP session, one rate limit, one back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.polling_stats import PollingStats
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.exceptions import ApimartAuthenticationError
from airflow_provider_apimart.hooks.apimart import ApimartHook

T = TypeVar("T")


class _Shared:
    """A transport with the number of its users."""

    def __init__(self, conn_id: str) -> None:
        self.users = 0
        self.opening = asyncio.ensure_future(_open(conn_id))

    async def close(self) -> None:
        """Close the transport, or stop opening it."""
        self.opening.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await (await self.opening).close()


# They are kept after a transport is closed: the run times of models stay useful.
_polling_stats: dict[str, PollingStats] = {}
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


class SharedTransport:
    """
    Transport shared by all waits of a connection in an event loop, with the connection's polling statistics.

    ``async with SharedTransport("apimart_default") as (transport, polling_stats):`` opens it for the first user; the
    last one closes it. After APIMart has refused the API key, further users get a new transport, since the connection
    may hold another key by then.

    :param conn_id: The connection's id.
    :raises ApimartConfigurationError: On entering, if the connection isn't defined or is invalid.
    """

    # There are thousands at once, and a generator for each would take several times the memory.
    __slots__ = ("_conn_id", "_shared")

    def __init__(self, conn_id: str) -> None:
        self._conn_id = conn_id

    async def __aenter__(self) -> tuple[AiohttpTransport, PollingStats]:
        of_loop = _by_loop.setdefault(asyncio.get_running_loop(), {})
        if self._conn_id not in of_loop:
            of_loop[self._conn_id] = _Shared(self._conn_id)
        self._shared = of_loop[self._conn_id]
        self._shared.users += 1
        try:
            # Shielded: cancelling one user must not close the transport for the others.
            transport = await asyncio.shield(self._shared.opening)
        except BaseException:
            await self._leave()
            raise
        return transport, _polling_stats.setdefault(self._conn_id, PollingStats())

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, ApimartAuthenticationError):
            self._forget()
        await self._leave()

    async def _leave(self) -> None:
        self._shared.users -= 1
        if not self._shared.users:
            # Forgotten first: a user that comes while it is closed opens another.
            self._forget()
            await asyncio.shield(self._shared.close())

    def _forget(self) -> None:
        of_loop = _by_loop[asyncio.get_running_loop()]
        if of_loop.get(self._conn_id) is self._shared:
            del of_loop[self._conn_id]


async def with_current_key(conn_id: str, use: Callable[[AiohttpTransport, PollingStats], Awaitable[T]]) -> T:
    """
    Use the shared transport. If the API key is refused and the connection has another by now, use it with that one.

    :raises ApimartError: The error of ``use``.
    """
    refused: ClientSettings | None = None
    while True:
        try:
            async with SharedTransport(conn_id) as (transport, polling_stats):
                current = transport.settings
                if current == refused:
                    break
                return await use(transport, polling_stats)
        except ApimartAuthenticationError as error:
            refused, last = current, error
    raise last


async def _open(conn_id: str) -> AiohttpTransport:
    transport = AiohttpTransport(await ApimartHook(conn_id).get_async_settings())
    await transport.open()
    return transport
