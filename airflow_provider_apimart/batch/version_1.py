"""Facts from ledgers without a record: those of version 1.0.0, and those whose record was removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_apimart.api.json_values import mapping
from airflow_provider_apimart.durable.facts import Fact, FactKind, fact_from_json
from airflow_provider_apimart.durable.folder import Folder
from airflow_provider_apimart.durable.version_1 import checked_fields, facts_of_submission

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

_SEGMENT_SUFFIX = ".jsonl"
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "position": int,
    "status": str,
    "revision": (int, type(None)),
    "submission": (Mapping, type(None)),
    "reason": (str, type(None)),
    "generation_id": (str, type(None)),
    "outputs": (list, type(None)),
    "files": (list, type(None)),
    "earlier": (list, type(None)),
    "clear_marker": (int, type(None)),
    "tried_at": (int, float, type(None)),
}
# Later ones can't be written as dates.
_END_OF_TIME = 1e11
# How far an item had come without a generation that can still be asked for.
_TROUBLES = ("failed", "refused", "moderated", "not_submitted", "unknown")


def earlier_facts(ledger: ObjectStoragePath, segments: Folder) -> Iterator[Fact]:
    """
    Return the facts that follow from a ledger.

    :param ledger: The merged file.
    :param segments: The directory of the files that weren't merged yet.
    :raises ValueError: If a line can't be read, with its number.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for name, content in _texts(ledger, segments):
        for line in _lines(name, content):
            known = newest.get(line["id"])
            if known is None or (line.get("revision") or 0) >= (known.get("revision") or 0):
                newest[line["id"]] = line
    for line in newest.values():
        yield from _checked_facts(line)


def remove_earlier_files(segments: Folder) -> None:
    """Remove the unmerged files, whose facts are kept elsewhere by now."""
    for name in segments.names():
        if name.endswith(_SEGMENT_SUFFIX):
            segments.remove(name)


def _texts(ledger: ObjectStoragePath, segments: Folder) -> Iterator[tuple[str, bytes]]:
    folder = Folder(ledger.parent)
    if folder.exists(ledger.name):
        yield ledger.name, folder.read(ledger.name)
    for name in sorted(segments.names()):
        if name.endswith(_SEGMENT_SUFFIX):
            yield name, segments.read(name)


def _lines(name: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    # Not splitlines(): it splits at characters that may be inside of a JSON string.
    text = content.decode("utf-8-sig").removesuffix("\n")
    for number, line in enumerate(text.split("\n") if text else [], 1):
        try:
            yield checked_fields(json.loads(line), _FIELDS)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} of {name}: {error}") from error


def _checked_facts(line: Mapping[str, Any]) -> list[Fact]:
    try:
        for name in ("outputs", "files"):
            if not all(isinstance(each, Mapping) for each in line.get(name) or ()):
                raise ValueError(f"the field {name!r} holds something else than objects")
        return [_checked(fact) for fact in _facts(line)]
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the line of item {line['id']!r}: {error}") from error


def _checked(fact: Fact) -> Fact:
    if not 0 <= fact.at < _END_OF_TIME:
        raise ValueError(f"{fact.at!r} is no time")
    return fact_from_json(fact.to_json())


def _facts(line: Mapping[str, Any]) -> Iterator[Fact]:
    request = {name: line[name] for name in ("model", "prompt") if line.get(name) is not None}
    submission = line.get("submission") or _submission_of(line)
    for earlier in line.get("earlier") or ():
        yield Fact(FactKind.REPLACED, line["id"], 0.0, {"generation": earlier})
    if submission is None:
        return
    if submission.get("state") == "reused":
        yield _reuse(line, submission, request)
        return
    yield from facts_of_submission(submission, line["id"], request, line.get("modality"))
    yield from _ending(line, submission["idempotency_key"], float(submission["recorded_at"]))
    if line["status"] in _TROUBLES and line.get("reason"):
        yield Fact(FactKind.TROUBLE, line["id"], _moment(line), _trouble(line, submission["fingerprint"]))


def _submission_of(line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what stands for the submit of a line that was written without one, such as a list made by hand."""
    if not line.get("generation_id") and line["status"] != "completed":
        return None
    return {
        "state": "submitted",
        "fingerprint": "",
        "clear_marker": 0,
        "attempt": 0,
        "idempotency_key": f"line-{line['id']}",
        "key_scope": "",
        "recorded_at": 0.0,
        "generation": {"generation_id": line.get("generation_id")},
        "uploads": {},
    }


def _reuse(line: Mapping[str, Any], submission: Mapping[str, Any], request: Mapping[str, Any]) -> Fact:
    said = checked_fields(submission, {"fingerprint": str, "recorded_at": (int, float)})
    names = ("generation_id", "modality", "model", "cost", "completed", "result", "reused")
    details = {
        "fingerprint": said["fingerprint"],
        "modality": line.get("modality"),
        "request": {**request, **mapping(line.get("request"))},
        "generation": {**{name: line.get(name) for name in names}, "status": "completed"},
        "saved_cost": line.get("saved_cost"),
        "files": line.get("files"),
    }
    return Fact(FactKind.REUSED, line["id"], float(said["recorded_at"]), details)


def _ending(line: Mapping[str, Any], key: str, at: float) -> Iterator[Fact]:
    moderated = line["status"] == "moderated"
    if line["status"] == "completed" or (line.get("generation_id") and (moderated or line["status"] == "failed")):
        names = ("generation_id", "modality", "model", "outputs", "result", "cost", "completed")
        status = "completed" if line["status"] == "completed" else "failed"
        generation = {**{name: line.get(name) for name in names}, "status": status}
        reason = None if status == "completed" else line.get("reason")
        yield Fact(
            FactKind.ENDED,
            line["id"],
            at,
            {"key": key, "generation": generation, "reason": reason, "moderated": moderated},
        )
    if line.get("files"):
        yield Fact(FactKind.SAVED, line["id"], _moment(line), {"key": key, "files": line["files"]})


def _moment(line: Mapping[str, Any]) -> float:
    saved = line.get("saved")
    return datetime.fromisoformat(saved).timestamp() if isinstance(saved, str) else float(line.get("tried_at") or 0.0)


def _trouble(line: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "status": line["status"],
        "reason": line["reason"],
        "clear_marker": line.get("clear_marker") or 0,
        "tried_at": line.get("tried_at") or 0.0,
    }
