"""Facts from the records of version 1.0.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_apimart.durable.facts import Fact, FactKind

_SEND = "1.0.0"
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "state": str,
    "fingerprint": str,
    "clear_marker": int,
    "attempt": int,
    "idempotency_key": str,
    "key_scope": str,
    "recorded_at": (int, float),
    "generation": (Mapping, type(None)),
    "uploads": (Mapping, type(None)),
}


def facts_of_submission(
    value: object, item: str, request: Mapping[str, Any] | None = None, modality: str | None = None
) -> Iterator[Fact]:
    """
    Return the facts that a ``SubmissionRecord`` of version 1.0.0 stands for.

    :param value: Its JSON.
    :param item: The item that it is about.
    :param request: The request, as far as known.
    :param modality: The modality, if known.
    :raises ValueError: If it is none, with the field that can't be read.
    """
    said = checked_fields(value, _FIELDS)
    key, at = said["idempotency_key"], float(said["recorded_at"])
    sending = {name: said[name] for name in ("fingerprint", "attempt", "clear_marker", "key_scope")}
    sent = {"uploads": dict(said.get("uploads") or {}), "modality": modality or "", "request": dict(request or {})}
    yield Fact(
        FactKind.SENDING,
        item,
        at,
        {"key": key, "send": _SEND, **sending, **sent},
    )
    yield from _later_facts(said, item, key, at)


def _later_facts(said: Mapping[str, Any], item: str, key: str, at: float) -> Iterator[Fact]:
    marker = {"key": key, "clear_marker": said["clear_marker"]}
    if said.get("generation") is not None:
        yield Fact(FactKind.SUBMITTED, item, at, {"key": key, "generation": dict(said["generation"])})
    match said["state"]:
        case "refused":
            yield Fact(FactKind.REFUSED, item, at, {"key": key, "send": _SEND, "reason": "refused"})
        case "stopped":
            yield Fact(FactKind.STOPPED, item, at, marker)
        case "delivered":
            yield Fact(FactKind.DELIVERED, item, at, marker)
        case "sending" | "submitted":
            return
        case other:
            raise ValueError(f"{other!r} is no state of a submit")


def checked_fields(value: object, fields: Mapping[str, type | tuple[type, ...]]) -> Mapping[str, Any]:
    """
    Return an object whose fields have their types.

    :raises ValueError: If it is none, or a field has another type, with its name.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"it is {type(value).__name__}, not an object")
    for name, expected in fields.items():
        found = value.get(name)
        if not isinstance(found, expected) or isinstance(found, bool):
            raise ValueError(f"the field {name!r} holds {type(found).__name__}")
    return value
