"""Transport over ``requests``, for the worker."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.error_mapping import lost_reply_error, root_reason
from airflow_provider_apimart.api.flow import Flow, FlowStep, Pause
from airflow_provider_apimart.api.http_messages import Content, Reply, Request
from airflow_provider_apimart.api.settings import CONNECT_SECONDS, ClientSettings
from airflow_provider_apimart.exceptions import ApimartError

T = TypeVar("T")

_BLOCK = 64 * 1024


class _BearerAuth(AuthBase):
    """Adds the API key to requests for the connection's own host, and to no other."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(request) == self._settings.origin:
            request.headers.update(self._settings.authorised_headers())
        return request


class _PublicAuth(AuthBase):
    """Replaces the session's authentication where a route is public."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._settings.public_headers())
        return request


class _Session(requests.Session):
    """A session that sends nothing of the connection to another host when it follows a redirect."""

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__()
        self._settings = settings

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        if _origin(prepared_request) != self._settings.origin:
            for name in self._settings.authorised_headers():
                prepared_request.headers.pop(name, None)


def _origin(request: requests.PreparedRequest) -> tuple[str, str]:
    parts = urlsplit(request.url or "")
    return parts.scheme, parts.netloc


def authenticated_session(settings: ClientSettings) -> requests.Session:
    """
    Return a session that authenticates at the connection's host only.

    It retries nothing by itself and takes no credentials from the environment.

    :raises ApimartConfigurationError: If the proxy or the certificate authorities cannot be used.
    """
    session = _Session(settings)
    session.trust_env = False
    session.auth = _BearerAuth(settings)
    session.verify = settings.network.verified_by()
    if proxy := settings.network.proxy_for(settings.base_url):
        session.proxies = {"http": proxy, "https": proxy}
    return session


class _CountedBody:
    """A body that notes whether any of it was read for sending."""

    def __init__(self, content: Content) -> None:
        self._length = content.length
        self._file = content.open()
        self.begun = False

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_BLOCK), b"")

    def read(self, size: int = -1) -> bytes:
        self.begun = True
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


class RequestsTransport:
    """
    Runs flows one at a time, blocking.

    :param settings: The account and how to reach it.
    :raises ApimartConfigurationError: If the proxy or the certificate authorities cannot be used.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self.session = authenticated_session(settings)

    def run(self, flow: Flow[T]) -> T:
        """
        Run a flow to its end and return its result.

        :raises ApimartError: What the flow raises.
        """
        try:
            step = next(flow)
            while True:
                try:
                    reply = self._perform(step)
                except ApimartError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as finished:
            result: T = finished.value
            return result

    def _perform(self, step: FlowStep) -> Reply | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        body = _CountedBody(step.content) if step.content else None
        try:
            reply = self._send(step, body)
        finally:
            if body:
                body.close()
        if isinstance(reply, Reply):
            return reply
        # Raised outside of the handler, so that no exception of the library, which holds the headers, is chained.
        raise reply

    def _send(self, request: Request, body: _CountedBody | None) -> Reply | ApimartError:
        seconds = self._settings.seconds[request.kind]
        give_up_at = time.monotonic() + seconds
        try:
            with self.session.request(
                request.method,
                self._settings.base_url + request.path,
                headers=_headers(request),
                data=body,
                auth=None if request.authorised else _PublicAuth(self._settings),
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read_capped(response.raw, give_up_at)
                return self._settings.reply(request, response.status_code, response.headers, content)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            sent = body.begun if body else not _never_connected(error)
            reason = root_reason(error, self._settings.secrets)
            return lost_reply_error(request, self._settings.base_url, sent=sent, reason=reason)


def _never_connected(error: BaseException | None) -> bool:
    kinds = (
        requests.ConnectTimeout,
        requests.exceptions.ProxyError,
        urllib3.exceptions.NewConnectionError,
        ssl.SSLCertVerificationError,
    )
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


def _headers(request: Request) -> dict[str, str]:
    content_type = {"Content-Type": request.content.content_type} if request.content else {}
    return {**request.headers, **content_type}


def _read_capped(raw: Any, give_up_at: float) -> bytes:
    """Read a complete body as it was sent, within the limits of size and time."""
    received = bytearray()
    while block := raw.read1(_BLOCK, decode_content=False):
        received += block
        if len(received) > contract.MAX_REPLY_BYTES:
            raise ValueError(f"the reply is longer than {contract.MAX_REPLY_BYTES:,} bytes")
        if time.monotonic() > give_up_at:
            raise TimeoutError("the reply did not end in time")
    return bytes(received)
