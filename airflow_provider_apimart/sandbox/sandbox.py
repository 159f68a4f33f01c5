"""The sandbox for programs: a server in a thread of its own, to start, steer and look into from Python."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web

from airflow_provider_apimart.sandbox.control import Control
from airflow_provider_apimart.sandbox.faults import Fault
from airflow_provider_apimart.sandbox.generations import GenerationView
from airflow_provider_apimart.sandbox.journal import RequestView
from airflow_provider_apimart.sandbox.page import Page
from airflow_provider_apimart.sandbox.server import MAX_BODY, Server
from airflow_provider_apimart.sandbox.settings import SandboxSettings

T = TypeVar("T")


class Sandbox:
    """
    APIMart on your own machine.

    It listens from :meth:`start` to :meth:`stop`, or inside a ``with`` block. What it counted can still be read
    after it stopped. All members may be used from any thread.

    :param settings: how it behaves
    :param faults: what goes wrong from the start
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
        """Begin to listen; returns once it does."""
        self._socket = socket.create_server((self.settings.host, self.settings.port), backlog=1024)
        self._base_url = f"http://{self.settings.host}:{self._socket.getsockname()[1]}"
        self._server = Server(self.settings, self._base_url)
        self.inject(*self._faults)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="apimart-sandbox", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and delete all files; connections still open are cut."""
        if self._thread and self._loop and self._stopping:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
            self.server.close()

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

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
        await self._stopping.wait()
        await runner.cleanup()

    @property
    def _listening(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    @property
    def server(self) -> Server:
        """The server behind it; use it only from its own event loop."""
        if self._server is None:
            raise RuntimeError("The sandbox has not been started")
        return self._server

    def _ask(self, question: Callable[[Server], T]) -> T:
        """Answer a question in the server's own thread, so that nothing changes meanwhile."""
        if self._thread is None or self._loop is None:
            return question(self.server)

        async def answer() -> T:
            return question(self.server)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    @property
    def base_url(self) -> str:
        """Where it listens, without a slash at the end."""
        return self._base_url

    @property
    def api_key(self) -> str:
        """The API key that works."""
        return self.settings.api_key

    def connection_json(self) -> str:
        """Return the Airflow connection as JSON, for ``AIRFLOW_CONN_APIMART_DEFAULT``."""
        return json.dumps({"conn_type": "apimart", "host": self.base_url, "password": self.api_key})

    @property
    def accepted(self) -> int:
        """How many jobs were made."""
        return self._ask(lambda server: server.apimart.ledger.accepted)

    @property
    def billed(self) -> int:
        """How many jobs are charged and not refunded."""
        return self._ask(lambda server: server.apimart.ledger.billed)

    @property
    def dollars(self) -> Decimal:
        """US dollars charged and not given back; running jobs count with what they reserved."""
        return self._ask(lambda server: server.apimart.ledger.dollars)

    @property
    def uploaded(self) -> int:
        """How many images were uploaded, expired ones included."""
        return self._ask(lambda server: server.files.uploaded)

    @property
    def generations(self) -> tuple[GenerationView, ...]:
        """All jobs, in the order they were accepted."""
        return self._ask(lambda server: tuple(map(server.apimart.view, server.apimart.ledger)))

    @property
    def requests(self) -> tuple[RequestView, ...]:
        """All API requests, in the order they came."""
        return self._ask(lambda server: server.journal.requests)

    @property
    def file_requests(self) -> tuple[RequestView, ...]:
        """All requests for public files, in the order they came."""
        return self._ask(lambda server: server.file_journal.requests)

    def inject(self, *faults: Fault) -> None:
        """Let faults strike the requests to come."""
        self._ask(lambda server: server.faults.inject(*faults))

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._ask(lambda server: server.faults.clear())

    def advance(self, seconds: float) -> None:
        """Put the sandbox's clock forward: jobs finish, URLs and idempotency keys expire."""
        self._ask(lambda server: server.clock.advance(seconds))

    def complete_all(self) -> None:
        """End all running jobs now, each the way it would have ended."""
        self._ask(lambda server: server.apimart.ledger.end_all())

    def fail(self, generation_id: str, reason: str = "upstream error") -> None:
        """Let a job fail now, and refund it."""
        self._ask(lambda server: server.apimart.ledger.end(generation_id, reason))

    def reset(self) -> None:
        """Forget everything, also changed settings, faults and the clock's advance."""
        self._ask(lambda server: server.reset())

    def configure(self, **settings: Any) -> None:
        """
        Change settings while it runs.

        :param settings: new values of :class:`.SandboxSettings`, by name
        """
        self._ask(lambda server: server.apimart.apply(server.apimart.settings.changed(settings)))
