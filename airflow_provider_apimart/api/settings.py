"""What a transport needs to know of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.http_messages import Reply, RequestKind

CONNECT_SECONDS = 10.0
DEFAULT_SECONDS: Mapping[RequestKind, float] = {
    RequestKind.READ: 15.0,
    RequestKind.SUBMIT: 45.0,
    RequestKind.UPLOAD: 120.0,
}


@dataclass(frozen=True)
class ClientSettings:
    """
    One APIMart account and how to reach it.

    :param base_url: Normalised base URL.
    :param api_key: The secret. It is in no repr and goes to no other host.
    :param seconds: How long each kind of reply may take.
    :param verify: Whether to check certificates, or the file of the authorities to check them with.
    :param proxy: Proxy for all API calls, ``None`` to do as the environment says.
    :param headers: Sent along with every API call.
    :param user_agent: Names provider, its version and Airflow's.
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
        """Return the headers of every API call, the secret one included."""
        return {**self.headers, "User-Agent": self.user_agent, "Authorization": f"Bearer {self.api_key}"}

    def reply(self, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return what came back, in which the API key, should the service repeat it, is blotted out."""
        key = self.api_key
        shown = {name.lower(): value.replace(key, "***") for name, value in headers.items()}
        return Reply(status, shown, body.replace(key.encode(), b"***"), self.base_url)
