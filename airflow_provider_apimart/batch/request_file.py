"""Items of a batch from a JSON Lines file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_apimart.api.error_mapping import root_reason
from airflow_provider_apimart.batch.items import UnreadableLine, parse_lines
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError


def read_request_file(path: str | PathLike[str] | ObjectStoragePath) -> Iterable[object]:
    """
    Return the items in a file of JSON Lines, or of one JSON array.

    :param path: A path on this machine, or any URI of Airflow's object storage.
    :raises ApimartInvalidRequestError: If it cannot be read or holds something else. Nothing was sent.
    """
    text = _text(path)
    if isinstance(found := _json_array(text), list):
        return found
    items = list(parse_lines(text))
    unreadable = [each for each in items if isinstance(each, UnreadableLine)]
    if unreadable and len(unreadable) == len(items):
        raise _invalid(path, f"is not JSON Lines: line {unreadable[0].number} is {unreadable[0].start!r}")
    return items


def _text(path: str | PathLike[str] | ObjectStoragePath) -> str:
    # Not by its class: with older versions of its library, a local ObjectStoragePath is a Path.
    is_local = "://" not in str(path)
    absolute = Path(str(path)).absolute() if is_local else path
    try:
        return ObjectStoragePath(str(absolute)).read_text(encoding="utf-8-sig")
    except Exception as error:
        # Any error: storage libraries raise errors of any class.
        reason = f"cannot be read ({root_reason(error)})"
        if is_local and not Path(str(path)).is_absolute():
            reason = f"is relative, and there is no such file in {Path.cwd()}"
        raise _invalid(path, reason) from error


def _json_array(text: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None


def _invalid(path: object, reason: str) -> ApimartInvalidRequestError:
    return ApimartInvalidRequestError(
        f"Invalid requests: {path} {reason}. Nothing was sent. Give a list, or the absolute path or URI of a JSON "
        "Lines file in UTF-8"
    )
