"""Settings of a connection, as the transports need them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.content_encoding import ACCEPTED_ENCODINGS, decoded
from airflow_provider_apimart.api.environment import NetworkSettings, network_settings
from airflow_provider_apimart.api.http_messages import Reply, Request, RequestKind
from airflow_provider_apimart.api.redaction import Secrets

CONNECT_SECONDS = 10.0
DEFAULT_SECONDS: Mapping[RequestKind, float] = {
    RequestKind.READ: 15.0,
    RequestKind.SUBMIT: 45.0,
    RequestKind.UPLOAD: 120.0,
    RequestKind.CATALOGUE: 10.0,
}


@dataclass(frozen=True)
class ClientSettings:
    """
    An APIMart account and how to reach it.

    :param api_key: API key. It is part of no repr and is sent to no other host.
    :param base_url: Normalised base URL.
    :param seconds: Timeout of each kind of request, in seconds.
    :param verify: Whether to check certificates, or the path of the certificate authorities to check them with.
    :param proxy: Proxy of all requests; ``None`` uses the environment's.
    :param headers: Further headers of every API call.
    :param user_agent: ``User-Agent`` of all requests.
    """

    api_key: str = field(repr=False)
    base_url: str = contract.DEFAULT_BASE_URL
    seconds: Mapping[RequestKind, float] = field(default_factory=lambda: DEFAULT_SECONDS)
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    user_agent: str = "airflow-provider-apimart"

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme and host of the base URL: the only place that the API key may be sent to."""
        parts = urlsplit(self.base_url)
        return parts.scheme, parts.netloc

    def authorised_headers(self) -> dict[str, str]:
        """Return the headers of an authorised API call, secrets included."""
        return {**self.headers, **self.public_headers(), "Authorization": f"Bearer {self.api_key}"}

    def public_headers(self) -> dict[str, str]:
        """Return the headers of a call to a public route: neither the API key nor the connection's own headers."""
        return {"User-Agent": self.user_agent, "Accept-Encoding": ACCEPTED_ENCODINGS}

    @cached_property
    def network(self) -> NetworkSettings:
        """Proxies and certificate authorities, read from the environment at the first access."""
        return network_settings(self.proxy, self.verify)

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets: the API key, the values of the headers, the passwords of the proxies."""
        # Of a value such as "Token abc", the service may repeat the second part alone.
        values = [part for value in self.headers.values() for part in (value, value.rpartition(" ")[2])]
        encoded = b64encode(self.api_key.encode()).decode().rstrip("=")
        return Secrets.of((self.api_key, encoded, *values, *self.network.secrets))

    def reply(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """
        Return the reply to a request.

        :param body: The body as it was received, in its content encoding.
        :raises ValueError: If the body cannot be decoded.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        return Reply(status, lowered, decoded(body, lowered), self.base_url, request.path, self.secrets)
