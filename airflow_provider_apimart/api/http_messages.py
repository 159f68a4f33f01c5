"""HTTP requests to APIMart with their content, and the replies."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO, Literal

from airflow_provider_apimart.api import contract, json_values
from airflow_provider_apimart.api.redaction import Secrets

_NO_SECRETS = Secrets()


class RequestKind(Enum):
    """Kind of a request. Each has a timeout of its own, and a rate limit of its own."""

    READ = auto()
    SUBMIT = auto()
    UPLOAD = auto()
    #: Models and prices. A generation continues without them, so they have less time.
    CATALOGUE = auto()


@dataclass(frozen=True)
class Content:
    """
    Body of a request.

    :param content_type: Media type.
    :param length: Length in bytes, sent as ``Content-Length``.
    :param open: Opens the body for reading from its beginning; called each time it is sent.
    """

    content_type: str
    length: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Request:
    """
    One HTTP request without host and API key, which the transport adds.

    :param path: Route below the base URL, already quoted.
    :param headers: Headers of this request only.
    :param authorised: Whether the API key and the connection's headers are sent with it. Public routes get neither.
    """

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None
    kind: RequestKind = RequestKind.READ
    authorised: bool = True


@dataclass(frozen=True)
class Reply:
    """
    One complete HTTP reply.

    :param headers: Headers under lower-cased names.
    :param base_url: The base URL that was asked, that relative URLs of the body refer to.
    :param path: Path of the request below the base URL.
    :param secrets: Secrets to redact where the reply is shown.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    base_url: str = ""
    path: str = ""
    secrets: Secrets = _NO_SECRETS

    @property
    def json(self) -> object:
        """
        The body as JSON, parsed at every access; ``None`` if it is not JSON.

        Its messages are redacted; see :meth:`~airflow_provider_apimart.api.redaction.Secrets.redact_json`.
        """
        try:
            return self.secrets.redact_json(json_values.parse(self.body))
        except RecursionError:
            return None

    @property
    def url(self) -> str:
        """URL of the request."""
        return self.base_url + self.path

    def header(self, name: str) -> str | None:
        """Return the value of a header, whose name may be written in any case."""
        return self.headers.get(name.lower())

    def shown(self, text: str) -> str:
        """Return a part of the reply as it may be shown: without secrets."""
        return self.secrets.redact(text)


def json_content(value: object) -> Content:
    """
    Return a JSON body. Equal values give equal bytes, in every process.

    :param value: Plain JSON.
    """
    body = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    return Content("application/json", len(body), lambda: io.BytesIO(body))


def generation_request(modality: contract.Modality, payload: Mapping[str, object], key: str | None) -> Request:
    """
    Return the request that submits a generation.

    :param payload: Body of the request, as the model's page at APIMart describes it.
    :param key: Idempotency key: a repetition with the same key is not charged again.
    """
    headers = {contract.RESPONSE_VERSION_HEADER: contract.RESPONSE_VERSION}
    if key is not None:
        headers[contract.IDEMPOTENCY_KEY_HEADER] = key
    return Request("POST", modality.path, headers, json_content(payload), RequestKind.SUBMIT)
