"""Settings from an Airflow connection of type ``apimart``."""

from __future__ import annotations

import json
import logging
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version

from airflow_provider_apimart import __version__
from airflow_provider_apimart.api import contract
from airflow_provider_apimart.api.arguments import seconds
from airflow_provider_apimart.api.base_url import normalise_base_url
from airflow_provider_apimart.api.environment import proxy_url
from airflow_provider_apimart.api.http_messages import RequestKind
from airflow_provider_apimart.api.settings import DEFAULT_SECONDS, ClientSettings
from airflow_provider_apimart.exceptions import ApimartArgumentError, ApimartConfigurationError
from airflow_provider_apimart.get_provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

USER_AGENT = (
    f"airflow-provider-apimart/{__version__} apache-airflow/{airflow_version} python/{platform.python_version()}"
)

_RESERVED_HEADERS = (
    "authorization",
    "user-agent",
    contract.IDEMPOTENCY_KEY_HEADER.lower(),
    "content-type",
    "content-length",
    "transfer-encoding",
    "host",
)
# As copied from documentation or from a header.
_BEARER = re.compile(r"(authorization\s*[:=]\s*)?bearer(\s*:\s*|\s+)", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*(KEY|TOKEN)\s*=\s*(?=.)")
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
_EXAMPLE = '{"conn_type": "apimart", "password": "sk-..."}'
_SCHEMES = ("http", "https")
_PATH = re.compile(r"v1|.*/.*", re.IGNORECASE)
# RFC 9110: a token, and visible Latin-1 with inner spaces.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e\xa1-\xff]([\t\x20-\x7e\xa1-\xff]*[\x21-\x7e\xa1-\xff])?|")


def settings_from_connection(connection: Connection) -> ClientSettings:
    """
    Return the settings of a connection. Extra fields that aren't known are logged as a warning.

    :raises ApimartConfigurationError: With the connection's id and the invalid field. The API key is never part of
        the message.
    """
    return _ConnectionReader(connection).settings()


class _ConnectionReader:
    """Reads one connection; every error names the connection and the field."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._extra = self._read_extra()
        if unknown := sorted(self._extra.keys() - CONNECTION_FIELDS.keys()):
            log.warning(
                "Connection %r: unknown extra fields are ignored: %s. The known ones are %s",
                connection.conn_id,
                ", ".join(unknown),
                ", ".join(CONNECTION_FIELDS),
            )

    def settings(self) -> ClientSettings:
        return ClientSettings(
            api_key=self._api_key(),
            base_url=self._base_url(),
            seconds=self._seconds(),
            verify=self._verify(),
            proxy=self._proxy(),
            headers=self._headers(),
            user_agent=USER_AGENT,
        )

    def _refuse(self, field: str, why: str) -> ApimartConfigurationError:
        return ApimartConfigurationError(f"Connection {self._connection.conn_id!r}: invalid {field}: {why}")

    def _read_extra(self) -> Mapping[str, Any]:
        # Not the connection's own reader: it asks the supervisor, which blocks the event loop of a triggerer.
        try:
            extra = json.loads(self._connection.extra or "{}")
        except ValueError:
            raise self._refuse("extra", "it is not JSON") from None
        if not isinstance(extra, dict):
            raise self._refuse("extra", "it is not a JSON object")
        return extra

    def _api_key(self) -> str:
        key = _unquoted(_BEARER.sub("", _unquoted(_ASSIGNMENT.sub("", _unquoted(self._connection.password or "")))))
        if not key and self._connection.login:
            raise self._refuse("password", "it is empty, and the login is not used; the API key must be the password")
        if not key or key.lower() == "bearer":
            raise self._refuse("password", f"it is empty; it must be the APIMart API key, as in {_EXAMPLE}")
        if key.endswith("..."):
            raise self._refuse("password", "it is a placeholder or was cut; it must be the whole API key")
        if "://" in key:
            raise self._refuse("password", "it is a URL, which belongs in the host; it must be the API key")
        if not key.strip("*"):
            # As Airflow 3.0 hands it to the test of a stored connection.
            raise self._refuse("password", f"{key} is what Airflow shows in place of an API key")
        if any(map(str.isspace, key)):
            raise self._refuse("password", "it holds a space or a line break; an API key has none")
        if not (key.isascii() and key.isprintable()):
            raise self._refuse("password", "it holds a character that is not visible ASCII; an API key has none")
        return key

    def _base_url(self) -> str:
        host = (self._connection.host or "").strip()
        if not host:
            return contract.DEFAULT_BASE_URL
        schema = (self._connection.schema or "").strip().removesuffix("://").strip("/")
        reason = ""
        if _PATH.fullmatch(schema):
            # The URI apimart://:key@host/v1 stores its path as the schema.
            host, schema = f"{host.rstrip('/')}/{schema}", ""
        if "://" not in host and schema:
            if schema.lower() not in _SCHEMES:
                raise self._refuse(
                    "schema",
                    f"{schema!r} is neither http nor https; write a path into the host, as in https://host/path",
                )
            host = f"{schema}://{_bracketed(host)}"
        try:
            return normalise_base_url(_with_port(_bracketed(host), self._connection.port))
        except ValueError as error:
            reason = str(error)
        raise self._refuse("host", reason)

    def _seconds(self) -> Mapping[RequestKind, float]:
        reply = self._number("timeout")
        upload = self._number("upload_timeout")
        return {
            RequestKind.READ: reply or DEFAULT_SECONDS[RequestKind.READ],
            RequestKind.SUBMIT: reply or DEFAULT_SECONDS[RequestKind.SUBMIT],
            RequestKind.UPLOAD: upload or DEFAULT_SECONDS[RequestKind.UPLOAD],
            RequestKind.CATALOGUE: min(filter(None, (reply, DEFAULT_SECONDS[RequestKind.CATALOGUE]))),
        }

    def _number(self, field: str) -> float | None:
        value = self._extra.get(field)
        if value in (None, ""):
            return None
        try:
            return seconds(value, field, exclusive=True)
        except ApimartArgumentError:
            raise self._refuse(f"extra.{field}", f"{value!r:.100} is not a positive number of seconds") from None

    def _verify(self) -> bool | str:
        value = self._extra.get("verify")
        if value in (None, ""):
            return True
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        if not isinstance(value, str) or not Path(value).exists():
            raise self._refuse("extra.verify", f"{value!r} is neither true nor false nor the path of certificates")
        return value

    def _proxy(self) -> str | None:
        value = self._extra.get("proxy")
        if value in (None, ""):
            return None
        if not isinstance(value, str):
            raise self._refuse("extra.proxy", "it is no URL of the form http://host:port")
        return proxy_url(value, f"extra.proxy of the connection {self._connection.conn_id!r}")

    def _headers(self) -> Mapping[str, str]:
        headers = _named_headers(self._extra.get("headers") or {})
        if headers is None:
            raise self._refuse(
                "extra.headers",
                "it is neither a list of lines such as 'X-Team: media' nor an object of names and texts",
            )
        for name, text in headers.items():
            if name.lower() in _RESERVED_HEADERS:
                raise self._refuse("extra.headers", f"{name!r} is set by the provider")
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(text)):
                raise self._refuse("extra.headers", f"{name!r} or its text holds characters that headers cannot hold")
        return headers


def _named_headers(value: object) -> dict[str, str] | None:
    """Return headers by name from an object or a list of lines, or ``None`` if the value is neither."""
    if isinstance(value, list):
        lines = [str(line).strip().partition(":") for line in value if str(line).strip()]
        return {name: text.strip() for name, _, text in lines} if all(colon for _, colon, _ in lines) else None
    if isinstance(value, Mapping) and all(isinstance(item, str) for item in (*value, *value.values())):
        return dict(value)
    return None


def _unquoted(written: str) -> str:
    return written.strip().strip(_QUOTES).strip()


def _bracketed(host: str) -> str:
    """Return an IPv6 address in the brackets of URLs, which Airflow's parser of URIs removes, and any other host."""
    with suppress(ValueError):
        return f"[{IPv6Address(host)}]"
    return host


def _with_port(host: str, port: int | None) -> str:
    """Return a host with the connection's port, unless it is written with one."""
    scheme, separator, rest = host.rpartition("://")
    authority, slash, path = rest.partition("/")
    if port is None or ":" in authority.rpartition("]")[2]:
        return host
    return f"{scheme}{separator}{authority}:{port}{slash}{path}"
