"""What travels between this provider and APIMart: requests with their content, and replies."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO, Literal

from airflow_provider_apimart.api import contract, json_values


class RequestKind(Enum):
    """How long a reply may take; the connection says how many seconds each one is."""

    READ = auto()
    SUBMIT = auto()
    UPLOAD = auto()


@dataclass(frozen=True)
class Content:
    """
    The body of a request.

    :param content_type: Its media type.
    :param length: Its length in bytes, announced before it is sent.
    :param open: Opens it for reading from its beginning, once for every time it is sent.
    """

    content_type: str
    length: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Request:
    """
    One HTTP request, without the host and without the API key: a transport adds both.

    :param path: Route below the base URL, already quoted.
    :param headers: Headers of this request alone.
    """

    method: Literal["GET", "POST"]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None
    kind: RequestKind = RequestKind.READ


@dataclass(frozen=True)
class Reply:
    """
    One whole HTTP reply.

    :param headers: Headers under lower-cased names.
    :param base_url: The base URL that was asked, on whose host relative URLs of the body lie.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    base_url: str = ""

    @property
    def json(self) -> object:
        """What the body says as JSON, read at every access, or ``None`` if it isn't JSON."""
        return json_values.parse(self.body)

    def header(self, name: str) -> str | None:
        """Return a header's text, whatever case the name is written in."""
        return self.headers.get(name.lower())


def json_content(value: object) -> Content:
    """
    Return a JSON body whose bytes are the same for the same value, in every process.

    :param value: Plain JSON.
    """
    body = json.dumps(value, sort_keys=True, allow_nan=False).encode()
    return Content("application/json", len(body), lambda: io.BytesIO(body))


def generation_request(modality: contract.Modality, payload: Mapping[str, object], key: str | None) -> Request:
    """
    Return the request that submits a generation.

    :param payload: The generation as APIMart's page of the model describes it.
    :param key: The idempotency key that makes a repetition harmless.
    """
    headers = {contract.RESPONSE_VERSION_HEADER: contract.RESPONSE_VERSION}
    if key is not None:
        headers[contract.IDEMPOTENCY_KEY_HEADER] = key
    return Request("POST", modality.path, headers, json_content(payload), RequestKind.SUBMIT)
