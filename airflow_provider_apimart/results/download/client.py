"""
HTTP client for the hosts of results, which are foreign: it sends no key, cookies or credentials.

A name is resolved once, each of its addresses is checked, and the connection goes to an address that was checked.
Redirects are followed here, and each target is checked in the same way. With a proxy, the proxy resolves names, and
only addresses in the URL itself can be checked.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout, make_headers

from airflow_provider_apimart.api.base_url import DEFAULT_PORTS
from airflow_provider_apimart.api.environment import NetworkSettings, network_settings
from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.api.redaction import without_query
from airflow_provider_apimart.api.settings import ClientSettings
from airflow_provider_apimart.exceptions import ApimartDownloadError, ApimartResultRefusedError, ApimartTransientError
from airflow_provider_apimart.results.download.address_policy import AddressPolicy, private_hosts
from airflow_provider_apimart.results.download.header_timeout import HeadWatch
from airflow_provider_apimart.results.download.limits import Limits

_BLOCK = 512 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_NETWORK_ERRORS = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)


class InterruptedDownloadError(ApimartTransientError):
    """A request for a result didn't bring the whole file; another one may bring the rest."""


@dataclass(frozen=True)
class Network:
    """
    Settings of the network between a worker and the hosts of results.

    :param address_policy: The addresses that may be fetched from.
    :param settings: Proxies and certificate authorities.
    """

    user_agent: str = "airflow-provider-apimart"
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)
    settings: NetworkSettings = field(default_factory=network_settings)


def network_of(settings: ClientSettings, *, allow_private_hosts: bool | str | Iterable[str] = False) -> Network:
    """
    Return the network by a connection's settings, without its key and headers.

    :param allow_private_hosts: See :func:`~airflow_provider_apimart.results.download.address_policy.private_hosts`.
    :raises ApimartInvalidRequestError: If that is invalid.
    :raises ApimartConfigurationError: If the proxy of https hosts cannot be used.
    """
    settings.network.proxy_for("https://results.invalid")
    return Network(
        user_agent=settings.user_agent,
        address_policy=AddressPolicy(settings.base_url, private_hosts(allow_private_hosts)),
        settings=settings.network,
    )


class _TimedConnection(HTTPConnection):
    """A connection that is cut when the head of a reply isn't complete in time."""

    head_watch: HeadWatch

    def getresponse(self) -> Any:
        with self.head_watch.limited(self.sock):
            return super().getresponse()


class _CheckedConnection(_TimedConnection):
    """A connection that resolves the name itself and checks all its addresses."""

    address_policy = AddressPolicy()

    def _new_conn(self) -> socket.socket:
        host, port = self._dns_host, self.port
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, address in addresses:
            _check(self.address_policy, host, port, str(address[0]))
        return _connected(addresses, self.timeout)


def _connected(addresses: list[Any], seconds: Any) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _check(policy: AddressPolicy, host: str, port: int, address: str) -> None:
    if refusal := policy.refusal(host, port, address):
        raise ApimartResultRefusedError(
            f"its host {host} has the {refusal.kind} address {address}, and results are fetched from public addresses "
            f'only. If that is right here, set allow_private_hosts=["{refusal.remedy}"]'
        )


class ResultClient:
    """
    HTTP client for hosts of results. Several threads may use it at once.

    :param connections: Number of connections kept open to each host.
    """

    def __init__(self, network: Network, limits: Limits, connections: int = 8) -> None:
        self._network = network
        self._limits = limits
        self._pools: dict[tuple[str, str | None], urllib3.PoolManager] = {}
        self._proxies: dict[tuple[str, ...], str | None] = {}
        self._lock = Lock()
        self._head_watch = HeadWatch(limits.head_seconds)
        self._options: dict[str, Any] = {
            "maxsize": connections,
            "num_pools": 32,
            "retries": False,
            "timeout": Timeout(connect=limits.connect_seconds, read=limits.silent_seconds),
        }
        self._closed = Event()

    def close(self) -> None:
        """Close all connections. Running downloads end with an error at their next block."""
        self._closed.set()
        self._head_watch.close()
        for pools in self._pools.values():
            pools.clear()

    def pause(self, seconds: float) -> None:
        """Wait, unless the client is closed meanwhile."""
        self._closed.wait(seconds)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise ApimartDownloadError("saving was stopped")

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """
        Send a GET and follow redirects.

        :raises ApimartResultRefusedError: If the URL or the target of a redirect may not be fetched.
        :raises InterruptedDownloadError: If no reply came.
        """
        response = self._final_response(url, headers)
        try:
            yield response
        finally:
            # One that was read to its end has given its connection back already.
            response.close()

    def blocks(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """
        Go through the body as it arrives, undecoded.

        :raises InterruptedDownloadError: If it ends early or too little of it arrives.
        """
        while block := self._block(response):
            yield block

    def _block(self, response: urllib3.BaseHTTPResponse) -> bytes:
        self._check_open()
        try:
            return response.read1(_BLOCK, decode_content=False)
        except _NETWORK_ERRORS as error:
            raise InterruptedDownloadError(f"the download broke off: {root_reason(error)}") from None

    def _final_response(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        for _ in range(self._limits.redirects + 1):
            response = self._response(url, headers)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            url = _joined(url, location)
        raise ApimartDownloadError(
            f"it redirects more than {self._limits.redirects} times, the last time to {without_query(url)}"
        )

    def _response(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        self._check_open()
        _check_url(url)
        sent = {"User-Agent": self._network.user_agent, "Accept-Encoding": "identity", **headers}
        try:
            pools = self._pools_for(url)
            return pools.request("GET", url, headers=sent, redirect=False, preload_content=False, decode_content=False)
        except (urllib3.exceptions.LocationValueError, UnicodeError) as error:
            raise ApimartResultRefusedError(f"its URL is invalid: {root_reason(error)}") from None
        except _NETWORK_ERRORS as error:
            raise InterruptedDownloadError(f"its host didn't answer: {root_reason(error)}") from None

    def _pools_for(self, url: str) -> urllib3.PoolManager:
        scheme, proxy = urlsplit(url).scheme.lower(), self._proxy_for(url)
        if proxy:
            _check_literal(self._network.address_policy, url)
        with self._lock:
            if (scheme, proxy) not in self._pools:
                self._pools[scheme, proxy] = self._new_pools(scheme, proxy)
            return self._pools[scheme, proxy]

    def _proxy_for(self, url: str) -> str | None:
        origin = urlsplit(url)[:2]
        if origin not in self._proxies:
            # Going through the environment costs a good part of what a small file does.
            self._proxies[origin] = self._network.settings.proxy_for(url)
        return self._proxies[origin]

    def _new_pools(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        # Made once: reading the authorities costs a good part of what a small file does.
        tls: dict[str, Any] = {"ssl_context": self._network.settings.ssl_context()} if scheme == "https" else {}
        details: dict[str, Any] = {"head_watch": self._head_watch}
        if proxy:
            pools: urllib3.PoolManager = _proxied(proxy, self._options | tls)
            pools.pool_classes_by_scheme = _pool_classes(_TimedConnection, details)
        else:
            pools = urllib3.PoolManager(**self._options, **tls)
            details["address_policy"] = self._network.address_policy
            pools.pool_classes_by_scheme = _pool_classes(_CheckedConnection, details)
        return pools


def _proxied(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    user, password = get_auth_from_url(proxy)
    headers = make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _pool_classes(kind: type[_TimedConnection], details: Mapping[str, Any]) -> dict[str, type[HTTPConnectionPool]]:
    plain = type("ResultConnection", (kind,), dict(details))
    secure = type("SecureResultConnection", (kind, HTTPSConnection), dict(details))
    return {
        "http": type("ResultPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("SecureResultPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, _decoded(location))
    except ValueError as error:
        raise ApimartResultRefusedError(f"it redirects to an invalid URL: {error}") from None


def _decoded(location: str) -> str:
    """Return a header's text as its sender meant it; ``http.client`` reads every byte as a letter of Latin-1."""
    raw = location.encode("latin-1", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return quote(raw, safe="%:/?#[]@!$&'()*+,;=")


def _check_url(url: str) -> None:
    try:
        scheme, host = urlsplit(url).scheme.lower(), urlsplit(url).hostname
    except ValueError as error:
        raise ApimartResultRefusedError(f"its URL is invalid: {error}") from None
    if scheme not in DEFAULT_PORTS:
        raise ApimartResultRefusedError(f"its scheme is {scheme!r}, and only http and https are fetched")
    if not host:
        raise ApimartResultRefusedError("its URL names no host")


def _check_literal(policy: AddressPolicy, url: str) -> None:
    """Check an address in the URL itself, in any notation; a name is resolved by the proxy."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme.lower()]
    if host == "localhost" or host.endswith(".localhost"):
        _check(policy, host, port, "127.0.0.1")
    try:
        addresses = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return
    for *_, address in addresses:
        _check(policy, host, port, str(address[0]))
