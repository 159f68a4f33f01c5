"""One transport for all waits of a connection in a triggerer: one HTTP session, one limit, one back-off."""

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
    """A transport, for as long as anyone uses it."""

    def __init__(self, conn_id: str) -> None:
        self.users = 0
        self.opening = asyncio.ensure_future(_open(conn_id))

    async def close(self) -> None:
        """Close what was opened; an opening that goes on is given up."""
        self.opening.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await (await self.opening).close()


# What was learnt outlives the transports: how long a model takes doesn't change when a night's last wait ends.
_polling_stats: dict[str, PollingStats] = {}
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


class SharedTransport:
    """
    The transport that all waits of a connection in this event loop share, with the connection's polling statistics.

    ``async with SharedTransport("apimart_default") as (transport, polling_stats):`` The first user opens it and the
    last one closes it. When the service refuses the API key, later users get a new transport, since the connection
    may hold another key by then.

    :param conn_id: The connection.
    :raises ApimartConfigurationError: When it is entered, if the connection can't be used.
    """

    # Thousands of them are held at once, and a generator each would cost several times the memory.
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
            # Shielded: one user's cancellation must not take the transport from the others.
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
            # Forgotten first: whoever comes while it closes opens another.
            self._forget()
            await asyncio.shield(self._shared.close())

    def _forget(self) -> None:
        of_loop = _by_loop[asyncio.get_running_loop()]
        if of_loop.get(self._conn_id) is self._shared:
            del of_loop[self._conn_id]


async def with_todays_key(conn_id: str, use: Callable[[AiohttpTransport, PollingStats], Awaitable[T]]) -> T:
    """
    Use the shared transport; if the API key is refused and the connection holds another by now, use it with that.

    :raises ApimartError: What ``use`` raises.
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
