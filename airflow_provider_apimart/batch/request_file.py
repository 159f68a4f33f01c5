"""The items of a batch from a JSON Lines file."""

from __future__ import annotations

from collections.abc import Iterator

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.batch.items import parse_lines
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def read_request_file(uri: str | ObjectStoragePath) -> Iterator[object]:
    """
    Return what the lines of a file hold.

    :param uri: An absolute path on this machine, or any URI of Airflow's object storage.
    :raises ApimartInvalidRequestError: If it can't be read. Nothing was sent.
    """
    try:
        text = ObjectStoragePath(uri).read_text(encoding="utf-8-sig")
    except Exception as error:
        # Any error: the storage libraries raise what they like.
        raise ApimartInvalidRequestError(
            f"The batch's requests can't be read from {uri} ({root_reason(error)}); nothing was sent. Give a list, or "
            "the absolute path or URI of a JSON Lines file in UTF-8"
        ) from error
    return parse_lines(text)
