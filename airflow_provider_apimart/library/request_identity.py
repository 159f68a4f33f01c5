"""
Identity of a request: a digest of everything that is sent, with references by their content.

Two requests are identical if modality, model, prompt and all parameters are. The connection is no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.reference_fields import names_references, rewritten

# Changes with whatever makes identities of earlier versions meaningless.
_VERSION = 1
_FILE = "sha256:"


def reference_urls(payload: Mapping[str, Any]) -> set[str]:
    """
    Return the URLs among the references of a request.

    :param payload: The body, in which files have names by their content.
    """
    found: set[str] = set()

    def leaf(place: str, field: str, value: Any) -> None:
        if _is_url(field, value):
            found.add(value.strip())

    for field, value in payload.items():
        rewritten(field, field, value, leaf)
    return found


def request_identity(modality: Modality, payload: Mapping[str, Any], contents: Mapping[str, str]) -> str:
    """
    Return the identity of a request, as hexadecimal digits.

    The order of keys doesn't matter, and ``2.0`` is ``2``. Everything else counts as it is sent.

    :param payload: The body, in which files have names by their content.
    :param contents: The SHA-256 of the files behind URLs, as far as known. Other URLs count as they are written.
    """

    def leaf(place: str, field: str, value: Any) -> Any:
        if _is_url(field, value) and value.strip() in contents:
            return f"{_FILE}{contents[value.strip()]}"
        return int(value) if isinstance(value, float) and value.is_integer() else value

    sent = {field: rewritten(field, field, value, leaf) for field, value in payload.items()}
    written = json.dumps([_VERSION, modality.value, sent], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(written.encode()).hexdigest()


def _is_url(field: str, value: Any) -> bool:
    return isinstance(value, str) and names_references(field) and not value.startswith(_FILE)
