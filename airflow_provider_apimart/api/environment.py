"""
Proxies and certificate authorities of all HTTP requests: the connection's, else the environment's.

They are read here once, with one result for the worker, the triggerer, batches and downloads, each of which has an HTTP
library with rules of its own. Nothing else of the environment is used: a ``.netrc`` in particular would replace the
API key.
"""

from __future__ import annotations

import os
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_apimart.api.base_url import DEFAULT_PORTS
from airflow_provider_apimart.exceptions import ApimartConfigurationError

_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_AUTHORITIES_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_CONNECTION_PROXY = "the connection's extra.proxy"
_CONNECTION_VERIFY = "the connection's extra.verify"


@dataclass(frozen=True)
class NetworkSettings:
    """
    Proxies and certificate authorities, the same for every HTTP library.

    :param proxy: Proxy of the connection, for all hosts. It comes before the environment's.
    :param proxies: Proxies of the environment by the name of their variable, ``http_proxy`` and so on, as written.
    :param no_proxy: Hosts that are reached without the environment's proxies, as written.
    :param authorities: Path of the trusted certificate authorities, a file or a directory; ``None`` for ``certifi``.
    :param authorities_source: The setting that names this path, for messages.
    :param verify: Whether certificates are checked.
    """

    proxy: str | None = field(default=None, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    no_proxy: str = ""
    authorities: str | None = None
    authorities_source: str = ""
    verify: bool = True

    def proxy_for(self, url: str) -> str | None:
        """
        Return the URL of the proxy for a host, ``None`` for none.

        :param url: Any URL of the host.
        :raises ApimartConfigurationError: If the proxy cannot be used, naming where it is set.
        """
        if self.proxy:
            return proxy_url(self.proxy, _CONNECTION_PROXY)
        scheme = urlsplit(url).scheme.lower()
        name = f"{scheme}_proxy" if f"{scheme}_proxy" in self.proxies else "all_proxy"
        if name not in self.proxies or self._is_direct(url):
            return None
        return proxy_url(self.proxies[name], f"the environment variable {name}")

    def ssl_context(self) -> ssl.SSLContext:
        """
        Return the TLS settings for all hosts. It reads files, so do not call it in an event loop.

        :raises ApimartConfigurationError: If the certificate authorities cannot be read.
        """
        if not self.verify:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        path = Path(self.authorities or _certifi())
        try:
            return _trusting(path, path.stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ApimartConfigurationError(
            f"No certificate authorities can be read from {path}, set in {self.authorities_source}: {reason}. "
            "Nothing was sent; set it to a file of certificates in PEM form, or to a directory that c_rehash prepared"
        )

    def verified_by(self) -> bool | str:
        """
        Return what verifies certificates, in the form that ``requests`` takes.

        :raises ApimartConfigurationError: If the certificate authorities cannot be read.
        """
        if not self.verify:
            return False
        if self.authorities is None:
            return _certifi()
        # Read to raise the same error as everywhere else, and before anything is sent.
        self.ssl_context()
        return self.authorities

    @property
    def secrets(self) -> Iterator[str]:
        """The passwords of the proxies, in each form that a proxy may repeat them."""
        for written in filter(None, (self.proxy, *self.proxies.values())):
            yield from _proxy_secrets(written)

    def _is_direct(self, url: str) -> bool:
        parts, port = urlsplit(url), None
        with suppress(ValueError):
            port = parts.port or DEFAULT_PORTS.get(parts.scheme.lower())
        host = (parts.hostname or "").rstrip(".")
        entries = re.split(r"[,\s]+", self.no_proxy.lower())
        return any(_covers(entry, host, port) for entry in entries if entry)


def network_settings(
    proxy: str | None = None, verify: bool | str = True, environ: Mapping[str, str] = os.environ
) -> NetworkSettings:
    """
    Read the settings of a connection and of the environment.

    :param proxy: Proxy of the connection, if it has one.
    :param verify: Whether the connection wants certificates checked, or the path of its certificate authorities.
    :param environ: The environment.
    """
    authorities, source = _authorities(verify, environ)
    return NetworkSettings(
        proxy=proxy,
        proxies={name: value for name in _PROXY_VARIABLES if (value := _variable(environ, name))},
        no_proxy=_variable(environ, "no_proxy"),
        authorities=authorities,
        authorities_source=source,
        verify=verify is not False,
    )


def proxy_url(written: str, source: str) -> str:
    """
    Return the URL of an HTTP proxy in a form that all HTTP libraries read in the same way.

    :param written: As people write it: with or without a scheme, with credentials in any characters.
    :param source: The setting that names it, for messages.
    :raises ApimartConfigurationError: If it is no HTTP proxy. It is not repeated, since it may hold credentials.
    """
    scheme, separator, rest = written.strip().rpartition("://")
    scheme = scheme.lower() if separator else "http"
    if scheme.startswith("socks"):
        raise _refused(
            f"{source} names a SOCKS proxy ({scheme}), and only HTTP proxies are supported",
            "set it to an HTTP proxy such as http://proxy.example.com:3128, or extra.proxy of the connection, or list "
            "the hosts in no_proxy",
        )
    if scheme not in DEFAULT_PORTS:
        raise _refused(f"{source} has an unknown scheme", "write it as http://host:port")
    credentials, at, address = rest.rpartition("@")
    return f"{scheme}://{_quoted(credentials)}{at}{_address(address, source)}"


def _address(written: str, source: str) -> str:
    # The library's own messages repeat the text.
    with suppress(ValueError):
        parts = urlsplit(f"//{written}")
        if parts.hostname and not any(letter.isspace() for letter in parts.netloc) and parts.port != 0:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return host if parts.port is None else f"{host}:{parts.port}"
    raise _refused(f"{source} has no host, or a malformed host or port", "write it as http://host:port")


def _refused(reason: str, advice: str) -> ApimartConfigurationError:
    return ApimartConfigurationError(f"The proxy in {reason}. Nothing was sent; {advice}")


def _quoted(credentials: str) -> str:
    user, colon, password = credentials.partition(":")
    return quote(unquote(user), safe="") + colon + quote(unquote(password), safe="")


def _proxy_secrets(written: str) -> Iterator[str]:
    credentials = written.rpartition("://")[2].rpartition("@")[0]
    user, _, password = map(unquote, credentials.partition(":"))
    if credentials:
        # A user without a password is a token.
        yield password or user
        yield quote(password or user, safe="")
        yield b64encode(f"{user}:{password}".encode("latin-1", "replace")).decode()


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of ``no_proxy`` covers a host: a name and those below it, an address or a network."""
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2].rstrip("/") if "://" in entry else entry
    name, colon, number = entry.rpartition(":")
    # An IPv6 address has colons of its own, unless it is in brackets.
    if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]")
    with suppress(ValueError):
        return ip_address(host.strip("[]")) in ip_network(entry, strict=False)
    entry = entry.removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def _authorities(verify: bool | str, environ: Mapping[str, str]) -> tuple[str | None, str]:
    if isinstance(verify, str):
        return verify, _CONNECTION_VERIFY
    for name in _AUTHORITIES_VARIABLES:
        if path := environ.get(name, "").strip():
            # OpenSSL takes several directories; the first one that exists is used here.
            listed = path.split(os.pathsep) if name == "SSL_CERT_DIR" else [path]
            return next(filter(os.path.isdir, listed), path), f"the environment variable {name}"
    return None, "the package certifi"


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Return a variable in small or capital letters. The small ones win, also to unset it."""
    return environ.get(name, environ.get(name.upper(), "")).strip()


@lru_cache(maxsize=8)
def _trusting(path: Path, modified: int) -> ssl.SSLContext:
    """
    Return TLS settings for certificate authorities, made once: parsing a file takes tens of milliseconds.

    :param modified: Time of the last change, so that a file that was replaced is read again.
    """
    if path.is_dir():
        return ssl.create_default_context(capath=str(path))
    return ssl.create_default_context(cafile=str(path))


def _certifi() -> str:
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return str(DEFAULT_CA_BUNDLE_PATH)
