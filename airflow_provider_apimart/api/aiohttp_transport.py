"""Conversations over ``aiohttp``, for the triggerer: thousands at once in one session."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.environment import authorities_of, proxy_of
from airflow_provider_apimart.api.error_mapping import lost_reply_error, root_reason
from airflow_provider_apimart.api.flow import Flow, Pause
from airflow_provider_apimart.api.http_messages import Content, Reply, Request, RequestKind
from airflow_provider_apimart.api.rate_limiter import RateLimiter
from airflow_provider_apimart.api.retry import retry_after_seconds
from airflow_provider_apimart.api.settings import CONNECT_SECONDS, ClientSettings
from airflow_provider_apimart.exceptions import ApimartError

log = logging.getLogger(__name__)

T = TypeVar("T")

_BLOCK = 64 * 1024
_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_REQUESTS_IN_FLIGHT = 64
# Smaller changes of the pace aren't worth a line in the log.
_WORTH_TELLING = 0.2


class AiohttpTransport:
    """
    Holds any number of flows at once in one event loop.

    They share one HTTP session, one limit of requests in flight and one pace: when the service asks one of them to
    slow down, all do. Whoever asks first is served first.

    :param settings: The account and how to reach it.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self._proxy = proxy_of(settings)
        # Made once, since thousands of polls a minute would each make them anew.
        self._base_url = str(URL(settings.base_url))
        self._timeouts = {kind: _timeout(seconds) for kind, seconds in settings.seconds.items()}
        self._slots = asyncio.Semaphore(_REQUESTS_IN_FLIGHT)
        self._queue = asyncio.Lock()
        self._rate_limiter = RateLimiter(time.monotonic)
        self._limit_is_news, self._limit_told = False, math.inf
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session. Certificates are read in a thread: it would stop the event loop for a while."""
        context = await asyncio.to_thread(_ssl_context, authorities_of(self.settings))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_REQUESTS_IN_FLIGHT, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self.settings.authorised_headers(),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._session:
            await self._session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, flow: Flow[T], *, before_post: Callable[[], Awaitable[None]] | None = None) -> T:
        """
        Hold a flow to its end and return its result.

        :param before_post: Awaited before every submit. What it raises keeps the POST from being sent, and is thrown
            into the flow.
        :raises ApimartError: What the flow raises.
        """
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(flow)
                    continue
                answer = await self._unless_forbidden(step, before_post)
                step = flow.send(answer) if isinstance(answer, Reply) else flow.throw(answer)
                # Not kept through the next pause: there may be thousands.
                del answer
        except StopIteration as finished:
            result: T = finished.value
            return result

    async def _unless_forbidden(
        self, request: Request, before_post: Callable[[], Awaitable[None]] | None
    ) -> Reply | ApimartError:
        if before_post and request.kind is RequestKind.SUBMIT:
            try:
                await before_post()
            except ApimartError as error:
                return error
        return await self._exchange(request)

    async def _exchange(self, request: Request) -> Reply | ApimartError:
        """Send a request when it is its turn; what goes wrong is returned, so that nothing is chained to it."""
        async with self._slots:
            if self._queue.locked() or self._rate_limiter.seconds_to_wait() > 0:
                await self._turn()
            sent_at = self._rate_limiter.sent()
            answer = await self._send(request)
        if isinstance(answer, Reply) and answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            asked = retry_after_seconds(answer.header(contract.RETRY_AFTER_HEADER))
            self._limit_is_news |= self._rate_limiter.refused(sent_at, asked)
        return answer

    async def _turn(self) -> None:
        """Wait until the pace allows one more request."""
        async with self._queue:
            if self._limit_is_news:
                self._log_limit()
            while (seconds := self._rate_limiter.seconds_to_wait()) > 0:  # noqa: ASYNC110 - a time is waited for, no event
                await asyncio.sleep(seconds)

    def _log_limit(self) -> None:
        pace = self._rate_limiter.per_second or math.inf
        if abs(pace - self._limit_told) > _WORTH_TELLING * pace:
            log.info("APIMart asked to slow down: at most %.1f requests a second from now on", pace)
            self._limit_told = pace
        self._limit_is_news = False

    async def _send(self, request: Request) -> Reply | ApimartError:
        if self._session is None:
            raise RuntimeError("the transport isn't open")
        body = _CountedBody(request.content) if request.content else None
        try:
            async with self._session.request(
                request.method,
                URL(self._base_url + request.path, encoded=True),
                headers=_headers(request),
                data=body.blocks() if body else None,
                timeout=self._timeouts[request.kind],
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                content = await _read_capped(response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            sent = body.begun if body else not isinstance(error, _NEVER_CONNECTED)
            return lost_reply_error(request, self.settings.base_url, sent=sent, reason=root_reason(error))
        return self.settings.reply(response.status, response.headers, content)


class _CountedBody:
    """A body that remembers whether any of it was taken for sending."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.begun = False

    async def blocks(self) -> AsyncIterator[bytes]:
        self.begun = True
        with self._content.open() as file:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                yield block


def _headers(request: Request) -> Mapping[str, str]:
    """Return the headers of this request alone. Those that authorise it are the session's."""
    if request.content is None:
        return request.headers
    described = {"Content-Type": request.content.content_type, "Content-Length": str(request.content.length)}
    return {**request.headers, **described}


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS, seconds))


def _ssl_context(authorities: bool | str) -> ssl.SSLContext:
    if isinstance(authorities, str):
        return ssl.create_default_context(cafile=authorities)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    received = bytearray()
    while block := await response.content.readany():
        received += block
        if len(received) > contract.MAX_REPLY_BYTES:
            raise ValueError(f"the reply is longer than {contract.MAX_REPLY_BYTES:,} bytes")
    return bytes(received)
