"""Transport over ``aiohttp``, for the triggerer and batches: thousands of flows at once in one session."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.error_mapping import lost_reply_error, root_reason
from airflow_provider_apimart.api.flow import Flow, Pause
from airflow_provider_apimart.api.http_messages import Content, Reply, Request, RequestKind
from airflow_provider_apimart.api.rate_limiter import RateLimiter
from airflow_provider_apimart.api.repeated_content_length import TolerantConnector
from airflow_provider_apimart.api.retry import retry_after_seconds
from airflow_provider_apimart.api.settings import CONNECT_SECONDS, ClientSettings
from airflow_provider_apimart.exceptions import ApimartAuthenticationError, ApimartError

log = logging.getLogger(__name__)

T = TypeVar("T")

_BLOCK = 64 * 1024
_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_REQUESTS_IN_FLIGHT = 64
# As long as the worker's library takes them. aiohttp's own limit is 8,190 bytes.
_LONGEST_HEADER = 65_536
# Smaller changes of the rate are not logged.
_LOGGED_CHANGE = 0.2
_NAMES = {
    RequestKind.READ: "reads",
    RequestKind.SUBMIT: "submits",
    RequestKind.UPLOAD: "uploads",
    RequestKind.CATALOGUE: "reads of models and prices",
}


@dataclass
class _Turns:
    """
    Turns of the requests of one kind, first come, first served, at the rate that APIMart allows them.

    :param kind: The kind, for the log.
    """

    kind: RequestKind
    limiter: RateLimiter = field(default_factory=lambda: RateLimiter(time.monotonic))
    _queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    _logged: float = math.inf

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent now, out of turn."""
        return not self._queue.locked() and self.limiter.seconds_to_wait() <= 0

    async def wait(self, slots: asyncio.Semaphore) -> float:
        """Wait for a turn and a slot, take both, and return the moment for :meth:`note`."""
        async with self._queue:
            while True:
                while (seconds := self.limiter.seconds_to_wait()) > 0:  # noqa: ASYNC110 - a time is waited for, no event
                    await asyncio.sleep(seconds)
                await slots.acquire()
                # While it waited for the slot, another request may have been refused.
                if self.limiter.seconds_to_wait() <= 0:
                    return self.limiter.sent()
                slots.release()

    def note(self, sent_at: float, reply: Reply) -> None:
        """Note the reply to a request."""
        if reply.status != HTTPStatus.TOO_MANY_REQUESTS:
            return
        asked = retry_after_seconds(reply.header(contract.RETRY_AFTER_HEADER))
        if self.limiter.refused(sent_at, asked):
            self._log()

    def _log(self) -> None:
        rate = self.limiter.per_second or math.inf
        if abs(rate - self._logged) > _LOGGED_CHANGE * rate:
            log.info("APIMart's rate limit was reached: at most %.1f %s a second now", rate, _NAMES[self.kind])
            self._logged = rate


class AiohttpTransport:
    """
    Runs any number of flows at once in one event loop.

    They share one HTTP session and one limit of requests in flight. Submits, reads and uploads have a rate limit each:
    when APIMart asks one of them to slow down, all of its kind do.

    :param settings: The account and how to reach it.
    :param current_settings: Reads what the connection says now, blocking. It is called in a thread when the API key is
        refused. ``None`` where the key stays what it is.
    """

    def __init__(self, settings: ClientSettings, current_settings: Callable[[], ClientSettings] | None = None) -> None:
        self.settings = settings
        self._current_settings = current_settings
        self._slots = asyncio.Semaphore(_REQUESTS_IN_FLIGHT)
        self._turns = {kind: _Turns(kind) for kind in RequestKind}
        self._accounts: list[_Account] = []
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """
        Open the session.

        :raises ApimartConfigurationError: If the proxy or the certificate authorities cannot be used.
        """
        self._accounts.append(await _Account.open(self.settings))

    async def close(self) -> None:
        """Close the session and its connections."""
        for account in self._accounts:
            await account.session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, flow: Flow[T], *, before_post: Callable[[], Awaitable[None]] | None = None) -> T:
        """
        Run a flow to its end and return its result.

        The flow keeps the API key that it begins with: an idempotency key protects with that one only.

        :param before_post: Awaited before every submit. An error that it raises keeps the POST from being sent, and is
            thrown into the flow.
        :raises ApimartError: What the flow raises.
        """
        if not self._accounts:
            raise RuntimeError("the transport is not open")
        account = self._accounts[-1]
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = next(flow)
                    continue
                answer = await self._unless_forbidden(account, step, before_post)
                step = flow.send(answer) if isinstance(answer, Reply) else flow.throw(answer)
                # Not kept through the next pause: there may be thousands.
                del answer
        except StopIteration as finished:
            result: T = finished.value
            return result

    async def run_with_current_key(
        self, start: Callable[[], Flow[T]], *, before_post: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """
        Run a flow. If the API key is refused and the connection has another by now, run it again with that.

        :param start: Starts the flow.
        :param before_post: See :meth:`run`.
        :raises ApimartAuthenticationError: If the key that the connection has now is refused.
        """
        while True:
            refused = self.settings
            try:
                return await self.run(start(), before_post=before_post)
            except ApimartAuthenticationError:
                await self._renew(refused)
                if self.settings == refused:
                    raise

    async def _renew(self, refused: ClientSettings) -> None:
        """Take the connection's settings as they are now, unless another flow has done so since."""
        if self.settings is not refused or self._current_settings is None:
            return
        # One reading for all that were refused at the same time.
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._read_settings(self._current_settings))
        await asyncio.shield(self._renewing)

    async def _read_settings(self, current_settings: Callable[[], ClientSettings]) -> None:
        current = await asyncio.to_thread(current_settings)
        if current != self.settings:
            account = await _Account.open(current)
            # Flows that began with the earlier one keep it.
            self._accounts.append(account)
            self.settings = current

    async def _unless_forbidden(
        self, account: _Account, request: Request, before_post: Callable[[], Awaitable[None]] | None
    ) -> Reply | ApimartError:
        if before_post and request.kind is RequestKind.SUBMIT:
            try:
                await before_post()
            except ApimartError as error:
                return error
        return await self._exchange(account, request)

    async def _exchange(self, account: _Account, request: Request) -> Reply | ApimartError:
        """Send a request when it is its turn. An error is returned, so that nothing is chained to it."""
        turns = self._turns[request.kind]
        if turns.is_open and not self._slots.locked():
            await self._slots.acquire()
            sent_at = turns.limiter.sent()
        else:
            sent_at = await turns.wait(self._slots)
        try:
            answer = await account.send(request)
        finally:
            self._slots.release()
        if isinstance(answer, Reply):
            turns.note(sent_at, answer)
        return answer


@dataclass(frozen=True)
class _Account:
    """
    An account, with the HTTP session that authenticates there.

    :param base_url: Made once, as headers and time-outs: thousands of polls a minute would each make them again.
    :param headers: Those of requests that are authorised, and of those that aren't.
    """

    settings: ClientSettings
    session: aiohttp.ClientSession
    base_url: str
    headers: Mapping[bool, Mapping[str, str]]
    timeouts: Mapping[RequestKind, aiohttp.ClientTimeout]
    proxy: str | None

    @classmethod
    async def open(cls, settings: ClientSettings) -> Self:
        """
        Open its session.

        :raises ApimartConfigurationError: If the proxy or the certificate authorities cannot be used.
        """
        proxy = settings.network.proxy_for(settings.base_url)
        # In a thread: reading certificates would block the event loop for a while.
        context = await asyncio.to_thread(settings.network.ssl_context)
        session = aiohttp.ClientSession(
            connector=TolerantConnector(limit=_REQUESTS_IN_FLIGHT, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        timeouts = {kind: _timeout(seconds) for kind, seconds in settings.seconds.items()}
        headers = {True: settings.authorised_headers(), False: settings.public_headers()}
        return cls(settings, session, str(URL(settings.base_url)), headers, timeouts, proxy)

    async def send(self, request: Request) -> Reply | ApimartError:
        """Send a request and return the reply, or the error that it ended with."""
        body = _CountedBody(request.content) if request.content else None
        try:
            async with self.session.request(
                request.method,
                URL(self.base_url + request.path, encoded=True),
                headers={**self.headers[request.authorised], **_headers(request)},
                data=body.blocks() if body else None,
                timeout=self.timeouts[request.kind],
                proxy=self.proxy,
                allow_redirects=False,
            ) as response:
                content = await _read_capped(response)
                return self.settings.reply(request, response.status, response.headers, content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            sent = body.begun if body else not isinstance(error, _NEVER_CONNECTED)
            reason = root_reason(error, self.settings.secrets)
            return lost_reply_error(request, self.settings.base_url, sent=sent, reason=reason)


class _CountedBody:
    """A body that notes whether any of it was read for sending."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.begun = False

    async def blocks(self) -> AsyncIterator[bytes]:
        self.begun = True
        with self._content.open() as file:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                yield block


def _headers(request: Request) -> Mapping[str, str]:
    """Return the headers of this request only, without those of the connection."""
    if request.content is None:
        return request.headers
    described = {"Content-Type": request.content.content_type, "Content-Length": str(request.content.length)}
    return {**request.headers, **described}


def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(CONNECT_SECONDS, seconds))


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    received = bytearray()
    while block := await response.content.readany():
        received += block
        if len(received) > contract.MAX_REPLY_BYTES:
            raise ValueError(f"the reply is longer than {contract.MAX_REPLY_BYTES:,} bytes")
    return bytes(received)
