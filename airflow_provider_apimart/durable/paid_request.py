"""Request that is paid for once, and the digest that tells it from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_apimart.api.contract import Modality
from airflow_provider_apimart.api.reference_fields import with_files_renamed
from airflow_provider_apimart.api.reference_file import ReferenceFile


@dataclass(frozen=True)
class PaidRequest:
    """
    One generation that is to be paid for once.

    :param account: The connection's id. The API key is no part of it: a key that is replaced while a generation runs
        must not make a second one.
    :param payload: The whole body of the submit, in which files have names by their content: each upload has another
        URL, which must not change the identity of the work.
    :param files: The files by those names.
    """

    account: str
    modality: Modality
    payload: Mapping[str, Any]
    files: Mapping[str, ReferenceFile] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A digest of the full request: two requests with the same one are the same paid work."""
        return digest([self.account, self.modality.value, self.payload])

    def body(self, uploads: Mapping[str, str]) -> Mapping[str, Any]:
        """
        Return the body as it is sent.

        :param uploads: The URLs of the uploaded files, by the names that the files have in the payload.
        """
        return with_files_renamed(self.payload, lambda _, name: uploads[name]) if self.files else self.payload


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON value in hexadecimal, the same in every process."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
