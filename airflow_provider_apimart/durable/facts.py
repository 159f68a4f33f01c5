"""
Facts about paid generations.

A record is a set of facts, and it only grows. :data:`FIELDS` lists every kind of fact with its fields. The state that
follows from the facts is an :class:`~airflow_provider_apimart.durable.item_record.ItemRecord`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from airflow_provider_apimart.api.json_values import JsonObject, plain


class FactKind(StrEnum):
    """Kind of a fact."""

    SENDING = "sending"
    """A POST with this idempotency key is about to be sent. Written before the POST."""
    REFUSED = "refused"
    """That POST was refused, or was never sent: nothing was charged for it."""
    SUBMITTED = "submitted"
    """The service has accepted a generation under this key."""
    ENDED = "ended"
    """The generation is completed or has failed."""
    SAVED = "saved"
    """Outputs of the generation are saved in the destination."""
    DELIVERED = "delivered"
    """The task has returned the generation. A clear after that asks for a new one."""
    STOPPED = "stopped"
    """A person was asked to decide. A clear after that is their decision to pay for a new one."""
    REUSED = "reused"
    """A kept result of an identical request serves this input: nothing is paid for it."""
    REUSE_DELIVERED = "reuse_delivered"
    """The task has returned a reused result. A clear after that asks for a new one."""
    UPLOADED = "uploaded"
    """A reference file was uploaded."""
    TROUBLE = "trouble"
    """The item failed for a reason other than money, such as a file that couldn't be saved."""
    REPLACED = "replaced"
    """A generation that version 1.0.0 recorded for an earlier input of this item."""


_NUMBER = (int, float)

#: The fields of each kind of fact, beside ``fact``, ``item`` and ``at`` (Unix time), which all of them have.
FIELDS: Mapping[FactKind, Mapping[str, type | tuple[type, ...]]] = {
    FactKind.SENDING: {
        "key": str,
        "send": str,
        "fingerprint": str,
        "attempt": int,
        "clear_marker": int,
        "key_scope": str,
        "uploads": dict,
        "modality": str,
        "request": dict,
        # Since 1.1.0: as Quote.to_json has it.
        "quote": (dict, type(None)),
    },
    FactKind.REFUSED: {"key": str, "send": str, "reason": str},
    FactKind.SUBMITTED: {"key": str, "generation": dict},
    FactKind.ENDED: {"key": str, "generation": dict, "reason": (str, type(None)), "moderated": bool},
    FactKind.SAVED: {"key": str, "files": list},
    FactKind.DELIVERED: {"key": str, "clear_marker": int},
    FactKind.STOPPED: {"key": str, "clear_marker": int},
    # Since 2.0.0.
    FactKind.REUSED: {
        "fingerprint": str,
        "modality": str,
        "request": dict,
        # As Generation.to_xcom has it, with the dollars that it had cost in saved_cost.
        "generation": dict,
        "saved_cost": (*_NUMBER, type(None)),
        "files": list,
    },
    FactKind.REUSE_DELIVERED: {"fingerprint": str, "clear_marker": int},
    FactKind.UPLOADED: {"sha256": str, "url": str, "expires_at": _NUMBER},
    FactKind.TROUBLE: {
        "fingerprint": str,
        "status": str,
        "reason": str,
        "clear_marker": int,
        "tried_at": _NUMBER,
    },
    FactKind.REPLACED: {"generation": dict},
}


@dataclass(frozen=True, slots=True)
class Fact:
    """
    One fact.

    :param item: The item of a batch that it is about; empty for a task with one generation.
    :param at: Unix time at which it was noted.
    :param details: The fields that :data:`FIELDS` lists for its kind.
    """

    kind: FactKind
    item: str
    at: float
    details: JsonObject

    def to_json(self) -> dict[str, Any]:
        """Return the fact as plain JSON."""
        return {"fact": self.kind.value, "item": self.item, "at": self.at, **self.details}

    @property
    def order(self) -> tuple[float, str]:
        """A total order of facts, the same for every reader."""
        return self.at, json.dumps(plain(self.details), sort_keys=True)

    def first_of(self, other: Fact | None) -> Fact:
        """Return the earlier one of two facts."""
        if other is None or other is self:
            return self
        if self.at != other.at:
            return self if self.at < other.at else other
        return min(self, other, key=lambda each: each.order)


_COMMON: Mapping[str, type | tuple[type, ...]] = {"fact": str, "item": str, "at": _NUMBER}
# Made once: tens of thousands of facts are read when a batch begins.
_KINDS = {kind.value: kind for kind in FactKind}


def fact_from_json(value: object) -> Fact:
    """
    Return the fact that :meth:`Fact.to_json` wrote.

    :raises ValueError: If it is none, with the field that can't be read.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}, not an object")
    named = value.get("fact")
    kind = _KINDS.get(named) if isinstance(named, str) else None
    if kind is None:
        raise ValueError(f"{named!r} is no kind of fact that this version of the provider knows")
    if problem := _problem(kind, tuple(value), tuple(map(type, value.values()))):
        raise ValueError(problem)
    details = dict(value)
    for name in _COMMON:
        del details[name]
    return Fact(kind, value["item"], value["at"], details)


# Thousands of facts have the same fields of the same types.
@lru_cache
def _problem(kind: FactKind, names: Sequence[str], types: Sequence[type]) -> str | None:
    """Return what is wrong with the fields of a fact, ``None`` if nothing is."""
    given = dict(zip(names, types, strict=True))
    for name, expected in {**_COMMON, **FIELDS[kind]}.items():
        found = given.get(name, type(None))
        if found not in (expected if isinstance(expected, tuple) else (expected,)):
            return f"the field {name!r} of a {kind.value} fact holds {found.__name__}"
    return None
