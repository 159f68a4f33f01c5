"""One transport for all waits of a connection in a triggerer: one HTTP session, one limit, one back-off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_apimart.api.aiohttp_transport import AiohttpTransport
from airflow_provider_apimart.api.experience import Experience
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
_experiences: dict[str, Experience] = {}
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_transport(conn_id: str) -> AsyncIterator[tuple[AiohttpTransport, Experience]]:
    """
    Use the transport that all waits of this connection in this event loop share, and what they have learnt.

    It is opened by the first and closed by the last. When the service refuses the API key, later users get a new one,
    since the connection may have been mended meanwhile.

    :raises ApimartConfigurationError: If the connection can't be used.
    """
    of_loop = _by_loop.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in of_loop:
        of_loop[conn_id] = _Shared(conn_id)
    shared = of_loop[conn_id]
    shared.users += 1
    try:
        # Shielded: one user's cancellation must not take the transport from the others.
        yield await asyncio.shield(shared.opening), _experiences.setdefault(conn_id, Experience())
    except ApimartAuthenticationError:
        _forget(of_loop, conn_id, shared)
        raise
    finally:
        shared.users -= 1
        if not shared.users:
            # Forgotten first: whoever comes while it closes opens another.
            _forget(of_loop, conn_id, shared)
            await asyncio.shield(shared.close())


async def with_todays_key(conn_id: str, use: Callable[[AiohttpTransport, Experience], Awaitable[T]]) -> T:
    """
    Use the shared transport; if the API key is refused and the connection holds another by now, use it with that.

    :raises ApimartError: What ``use`` raises.
    """
    refused: ClientSettings | None = None
    while True:
        try:
            async with shared_transport(conn_id) as (transport, experience):
                current = transport.settings
                if current == refused:
                    break
                return await use(transport, experience)
        except ApimartAuthenticationError as error:
            refused, last = current, error
    raise last


def _forget(of_loop: dict[str, _Shared], conn_id: str, shared: _Shared) -> None:
    if of_loop.get(conn_id) is shared:
        del of_loop[conn_id]


async def _open(conn_id: str) -> AiohttpTransport:
    transport = AiohttpTransport(await ApimartHook(conn_id).get_async_settings())
    await transport.open()
    return transport
