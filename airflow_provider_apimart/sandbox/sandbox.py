"""The sandbox as a Python object: it runs the server in a thread, controls it, and reads its counters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from airflow_provider_apimart.sandbox.http.control import Control
from airflow_provider_apimart.sandbox.http.page import Page
from airflow_provider_apimart.sandbox.http.request_log import RequestView
from airflow_provider_apimart.sandbox.http.server import MAX_BODY, Server
from airflow_provider_apimart.sandbox.service.faults import Fault
from airflow_provider_apimart.sandbox.service.generations import GenerationView
from airflow_provider_apimart.sandbox.service.settings import SandboxSettings

T = TypeVar("T")

_log = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
"""Interval at which a state file is written while the sandbox runs, in seconds."""


class Sandbox:
    """
    A local APIMart server.

    It listens from :meth:`start` to :meth:`stop`, or inside a ``with`` block. Its counters stay readable after it
    stopped. All members are thread-safe.

    :param settings: its behaviour
    :param faults: faults injected from the start
    """

    def __init__(self, settings: SandboxSettings | None = None, faults: Iterable[Fault] = ()) -> None:
        self.settings = settings or SandboxSettings()
        self._faults = tuple(faults)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._server: Server | None = None
        self._base_url = ""

    def start(self) -> Self:
        """Start listening; returns once connections are accepted. Raises ``ValueError`` for a broken state file."""
        self._socket = socket.create_server((self.settings.host, self.settings.port), backlog=1024)
        self._base_url = f"http://{self.settings.host}:{self._socket.getsockname()[1]}"
        self._server = Server(self.settings, self._base_url)
        try:
            self._server.load()
        except ValueError:
            self._socket.close()
            raise
        self.inject(*self._faults)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="apimart-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and delete all files; open connections are closed."""
        if self._thread and self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
            self.server.close()

    def __enter__(self) -> Self:
        """Start it, unless it runs."""
        return self if self._thread else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=MAX_BODY)
        application.add_routes(self.server.routes())
        application.add_routes(Control(self.server).routes())
        application.add_routes(Page(self.server).routes())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, self._listening).start()
        ready.set()
        await self._saved_until_stopped(self._stopping)
        await runner.cleanup()

    async def _saved_until_stopped(self, stopping: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAVE_SECONDS if self.settings.state else None):
                    await stopping.wait()
                return
            try:
                self.server.save()
            except OSError as error:
                _log.warning("The state cannot be saved: %s", error)

    @property
    def _listening(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    @property
    def server(self) -> Server:
        """The server; use it only from its own event loop."""
        if self._server is None:
            raise RuntimeError("The sandbox has not been started")
        return self._server

    def _call(self, function: Callable[[Server], T]) -> T:
        """Run a function of the server in the server's thread, so that nothing changes meanwhile."""
        if self._thread is None or self._loop is None:
            return function(self.server)

        async def run() -> T:
            return function(self.server)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    @property
    def base_url(self) -> str:
        """The base URL it listens on, without a trailing slash."""
        return self._base_url

    @property
    def api_key(self) -> str:
        """The accepted API key."""
        return self._call(lambda server: server.apimart.settings.api_key) if self._server else self.settings.api_key

    def connection_json(self) -> str:
        """Return the Airflow connection as JSON, for ``AIRFLOW_CONN_APIMART_DEFAULT``."""
        return json.dumps({"conn_type": "apimart", "host": self.base_url, "password": self.api_key})

    @property
    def accepted(self) -> int:
        """The number of generations accepted."""
        return self._call(lambda server: server.apimart.billing.accepted)

    @property
    def billed(self) -> int:
        """The number of generations charged and not refunded."""
        return self._call(lambda server: server.apimart.billing.billed)

    @property
    def dollars(self) -> Decimal:
        """US dollars charged and not refunded; a running generation counts with its reservation."""
        return self._call(lambda server: server.apimart.billing.dollars)

    @property
    def uploaded(self) -> int:
        """The number of images uploaded, including expired ones."""
        return self._call(lambda server: server.files.uploaded)

    @property
    def generations(self) -> tuple[GenerationView, ...]:
        """All generations, in order of acceptance."""
        return self._call(lambda server: tuple(map(server.apimart.view, server.apimart.billing)))

    @property
    def requests(self) -> tuple[RequestView, ...]:
        """All API requests, in order of arrival."""
        return self._call(lambda server: server.request_log.requests)

    @property
    def file_requests(self) -> tuple[RequestView, ...]:
        """All requests for public files, in order of arrival."""
        return self._call(lambda server: server.file_request_log.requests)

    def inject(self, *faults: Fault) -> None:
        """Inject faults into the requests that follow."""
        self._call(lambda server: server.faults.inject(*faults))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._call(lambda server: server.faults.clear())

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward: generations finish, URLs and idempotency keys expire."""
        self._call(lambda server: server.clock.advance(seconds))

    def complete_all(self) -> None:
        """End all running generations now, each with its intended outcome."""
        self._call(lambda server: server.apimart.billing.end_all())

    def fail(self, generation_id: str, reason: str = "upstream error") -> None:
        """Fail a generation now and refund it."""
        self._call(lambda server: server.apimart.billing.end(generation_id, reason))

    def replace_api_key(self, new: str) -> None:
        """Replace the accepted API key, as a user rotates it: the account stays, the old key is refused."""
        self._call(lambda server: server.apimart.replace_api_key(new))

    def reset(self) -> None:
        """Reset all state, including changed settings, faults and the clock."""
        self._call(lambda server: server.reset())

    def configure(self, **settings: Any) -> None:
        """
        Change settings while it runs.

        :param settings: new values of :class:`.SandboxSettings`, by name
        """
        self._call(lambda server: server.apimart.apply(server.apimart.settings.changed(settings)))
