"""One transport for all waits of a connection in a triggerer: one HTTP session, one limit, one back-off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from airflow_provider_apimart.api.status import StatusRoutes
from airflow_provider_apimart.api.trigger_transport import TriggerTransport
from airflow_provider_apimart.exceptions import ApimartAuthenticationError
from airflow_provider_apimart.hooks.apimart import ApimartHook


class SharedTransport:
    """
    A transport and what its users have learnt, for as long as anyone uses it.

    :param conn_id: The connection whose waits share it.
    """

    def __init__(self, conn_id: str) -> None:
        self.routes = StatusRoutes()
        self._users = 0
        self._opening = asyncio.ensure_future(_open(conn_id))

    async def enter(self) -> TriggerTransport:
        """Count one user more and return the transport once it is open."""
        self._users += 1
        # Shielded: one user's cancellation must not take the transport from the others.
        return await asyncio.shield(self._opening)

    async def leave(self) -> bool:
        """Count one user less; the last one closes the transport. Return whether it was the last."""
        self._users -= 1
        if self._users:
            return False
        if not self._opening.done():
            self._opening.cancel()
        elif not self._opening.cancelled() and not self._opening.exception():
            await self._opening.result().close()
        return True


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SharedTransport]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_transport(conn_id: str) -> AsyncIterator[tuple[TriggerTransport, StatusRoutes]]:
    """
    Use the transport that all waits of this connection in this event loop share.

    It is opened by the first and closed by the last. When the service refuses the API key, later users get a new one,
    since the connection may have been mended meanwhile.

    :raises ApimartConfigurationError: If the connection can't be used.
    """
    of_loop = _by_loop.setdefault(asyncio.get_running_loop(), {})
    if conn_id not in of_loop:
        of_loop[conn_id] = SharedTransport(conn_id)
    shared = of_loop[conn_id]
    try:
        yield await shared.enter(), shared.routes
    except ApimartAuthenticationError:
        _forget(of_loop, conn_id, shared)
        raise
    finally:
        # Shielded: a cancelled wait still has to close what only it was using.
        if await asyncio.shield(shared.leave()):
            _forget(of_loop, conn_id, shared)


def _forget(of_loop: dict[str, SharedTransport], conn_id: str, shared: SharedTransport) -> None:
    if of_loop.get(conn_id) is shared:
        del of_loop[conn_id]


async def _open(conn_id: str) -> TriggerTransport:
    transport = TriggerTransport(await ApimartHook(conn_id).get_async_settings())
    await transport.open()
    return transport
